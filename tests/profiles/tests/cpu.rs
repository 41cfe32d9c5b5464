//! Profile `cpu`: sessions, their windows, labels and rates.
#![cfg(not(profiled_portable))]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use profiled::Error;
use profiled::cpu::Options;
use profiled_test_profiles::cpu::at;
use profiled_test_profiles::{File, Profile, alone, busy, cpu_time, read, read_snapshot};

const MS: Duration = Duration::from_millis(1);

busy! { busy first second between labelled unlabelled }

#[test]
fn a_window_in_one_call() {
    alone("a_window_in_one_call", || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    busy(MS);
                }
            });
            let snapshot = profiled::cpu::profile(500 * MS).unwrap();
            stop.store(true, Relaxed);
            assert!(snapshot.duration().unwrap() >= 500 * MS);
            let profile = read_snapshot(&snapshot);
            assert!(profile.total_of("samples", &["cpu::busy"]) > 0);
            let mut bytes = Vec::new();
            snapshot.write(&mut bytes, profiled::Format::Pprof).unwrap();
            let top = File::new("window", &bytes).top("cpu", "ns");
            assert!(top.iter().any(|(name, _, sum)| name == "cpu::busy" && *sum > 0.0), "{top:?}");
        });
    });
}

#[test]
fn overlapping_sessions_have_their_own_windows() {
    alone("overlapping_sessions_have_their_own_windows", || {
        let share = |profile: &Profile, used: Duration| profile.total("cpu") as f64 / used.as_nanos() as f64;
        // 50 and 100 periods at the slower rate, and each end is off by up to one. Where other programs keep the processors,
        // the kernel's ticks come at other moments than the CPU time is used at: longer windows have more of them.
        for longer in [1, 2, 4] {
            let (one, begin) = (at(50), cpu_time());
            first(1000 * MS * longer);
            let (two, middle) = (at(500), cpu_time());
            between(1000 * MS * longer);
            let (one, used_by_one) = (read_snapshot(&one.stop()), cpu_time() - begin);
            second(1000 * MS * longer);
            let (two, used_by_two) = (read_snapshot(&two.stop()), cpu_time() - middle);
            assert_eq!((one.period, two.period), (20_000_000, 2_000_000));
            let seen = |profile: &Profile| {
                ["cpu::first", "cpu::between", "cpu::second"]
                    .map(|name| profile.total_of("samples", &[name]) > 0)
            };
            assert_eq!((seen(&one), seen(&two)), ([true, true, false], [false, true, true]));
            let shares = [share(&one, used_by_one), share(&two, used_by_two)];
            if shares.iter().all(|share| (0.85..=1.15).contains(share)) {
                return;
            }
            assert!(longer < 4, "{shares:?}");
        }
    });
}

#[test]
fn labels_are_in_the_samples_of_their_scope() {
    alone("labels_are_in_the_samples_of_their_scope", || {
        #[profiled::profiled(name = "request")]
        fn request() {
            profiled::labels! { "route" => "/cart", "try" => 2 }
            labelled(500 * MS);
        }
        let session = at(250);
        request();
        unlabelled(500 * MS);
        let profile = read_snapshot(&session.stop());
        let (with, without) = (profile.find(&["cpu::labelled"]), profile.find(&["cpu::unlabelled"]));
        assert!(!with.is_empty() && !without.is_empty());
        for sample in with {
            assert_eq!((sample.text("route"), sample.text("try")), (Some("/cart"), Some("2")));
            assert_eq!(sample.text("profiled"), Some("request"));
        }
        assert!(without.iter().all(|sample| sample.labels.is_empty()));
    });
}

/// Whoever runs a future calls the outermost one its task: that has its name in all that is polled in it, whatever scopes
/// there are inside.
#[test]
fn samples_in_a_poll_carry_the_name_of_their_task() {
    alone("samples_in_a_poll_carry_the_name_of_their_task", || {
        #[profiled::profiled(name = "checkout")]
        async fn checkout() {
            tokio::task::yield_now().await;
            price().await;
        }
        #[profiled::profiled(name = "price")]
        async fn price() {
            tokio::task::yield_now().await;
            taxes();
        }
        #[profiled::profiled(name = "taxes")]
        fn taxes() {
            labelled(500 * MS);
        }
        let session = at(250);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(checkout());
        unlabelled(500 * MS);
        let profile = read_snapshot(&session.stop());
        let (with, without) = (profile.find(&["cpu::labelled"]), profile.find(&["cpu::unlabelled"]));
        assert!(!with.is_empty() && !without.is_empty());
        for sample in with {
            assert_eq!((sample.text("task"), sample.text("profiled")), (Some("checkout"), Some("taxes")));
        }
        assert!(without.iter().all(|sample| sample.labels.is_empty()));
    });
}

/// A task that another one awaits, on a runtime of many threads: instead of the runtime, the other one is below it, at the line
/// where it waits.
#[test]
fn stacks_of_tasks_go_on_with_who_awaits_them() {
    alone("stacks_of_tasks_go_on_with_who_awaits_them", || {
        #[profiled::profiled]
        async fn dispatch() {
            let mut workers = tokio::task::JoinSet::new();
            for _ in 0..2 {
                let work = async {
                    tokio::task::yield_now().await;
                    labelled(500 * MS);
                };
                workers.spawn(profiled::tasks::instrument("worker", work));
            }
            while workers.join_next().await.is_some() {} // awaits them
        }
        let here =
            include_str!("cpu.rs").lines().position(|line| line.ends_with("{} // awaits them")).unwrap() + 1;
        profiled::tasks::set_stacks(profiled::tasks::Stacks::All);
        let threads = Options::new().hz(250).start().unwrap();
        let tasks = Options::new().hz(250).task_stacks(true).start().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap();
        runtime.block_on(runtime.spawn(dispatch())).unwrap();
        unlabelled(300 * MS);
        let (tasks, threads) = (read_snapshot(&tasks.stop()), read_snapshot(&threads.stop()));
        let share = |profile: &Profile, is: &dyn Fn(&profiled_test_profiles::Sample) -> bool| {
            let of = |profile: &Profile, is: &dyn Fn(&profiled_test_profiles::Sample) -> bool| -> i64 {
                let ours = profile.find(&["cpu::labelled"]);
                ours.into_iter().filter(|sample| is(sample)).map(|sample| sample.value("cpu")).sum()
            };
            of(profile, is) as f64 / of(profile, &|_| true) as f64
        };
        let by_runtime = |sample: &profiled_test_profiles::Sample| {
            sample.frames.iter().any(|frame| frame.name.contains("tokio::runtime::scheduler"))
        };
        let awaited = |sample: &profiled_test_profiles::Sample| {
            sample
                .frames
                .iter()
                .any(|frame| frame.file.ends_with("tests/cpu.rs") && frame.line as usize == here)
        };
        assert!(share(&threads, &by_runtime) > 0.9, "{threads:#?}");
        assert_eq!(share(&threads, &awaited), 0.0);
        assert_eq!(share(&tasks, &by_runtime), 0.0, "{tasks:#?}");
        let ours = |sample: &profiled_test_profiles::Sample| {
            sample.frames.iter().any(|frame| frame.name.contains("profiled::hook::task::park"))
        };
        assert_eq!(share(&tasks, &ours), 0.0, "{tasks:#?}");
        // All but those from before it waited for them, if any.
        let found = share(&tasks, &awaited);
        assert!(found > 0.9, "{found} in {tasks:#?}");
        for profile in [&threads, &tasks] {
            assert_eq!(share(profile, &|sample| sample.text("task") == Some("worker")), 1.0);
        }
        // What is in no task is as it is.
        let outside = tasks.find(&["cpu::unlabelled"]);
        let to_the_root = |sample: &&profiled_test_profiles::Sample| {
            sample.frames.iter().any(|frame| frame.name.contains("profiled_test_profiles::alone"))
        };
        assert!(outside.iter().copied().any(|sample| to_the_root(&sample)), "{tasks:#?}");
    });
}

#[test]
fn continuous_sampling_grows_and_its_difference_is_a_window() {
    alone("continuous_sampling_grows_and_its_difference_is_a_window", || {
        assert_eq!(read("cpu").total("samples"), 0);
        assert_eq!(profiled::cpu::set_continuous(19).unwrap(), 0);
        let cpu = profiled::lookup("cpu").unwrap();
        first(1500 * MS);
        let early = cpu.snapshot();
        // 28 periods: none at all would be a miracle.
        assert!(read_snapshot(&early).total_of("samples", &["cpu::first"]) >= 10);
        second(1500 * MS);
        let late = cpu.snapshot();
        let (a, b) = (read_snapshot(&early), read_snapshot(&late));
        assert!(b.total("samples") >= a.total("samples") + 10);
        assert_eq!(b.total_of("samples", &["cpu::first"]), a.total_of("samples", &["cpu::first"]));
        let window = late.delta(&early).unwrap();
        assert!(window.duration().unwrap() >= 1500 * MS);
        let window = read_snapshot(&window);
        assert_eq!(window.total("samples"), b.total("samples") - a.total("samples"));
        assert_eq!(window.total_of("samples", &["cpu::first"]), 0);
        assert!(window.total_of("samples", &["cpu::second"]) >= 10);
        assert_eq!(profiled::cpu::set_continuous(0).unwrap(), 19);
        assert!(read("cpu").samples().is_empty());
    });
}

#[test]
fn rates_out_of_range_are_named() {
    for hz in [0, 5000] {
        let error = Options::new().hz(hz).start().unwrap_err();
        assert!(
            matches!(&error, Error::Invalid { what: "hz", value } if *value == hz.to_string()),
            "{error:?}"
        );
        assert!(error.to_string().contains(&hz.to_string()), "{error}");
    }
    assert!(matches!(profiled::cpu::set_continuous(5000), Err(Error::Invalid { .. })));
}

/// A set of labels that is changed while a signal comes in is there whole, as it was or as it is.
#[test]
fn labels_that_change_are_never_torn() {
    alone("labels_that_change_are_never_torn", || {
        let session = at(4000);
        let begin = profiled_test_profiles::cpu::thread_time();
        let mut n = 0_u64;
        while profiled_test_profiles::cpu::thread_time() - begin < 2_000_000_000 {
            for _ in 0..100 {
                n += 1;
                // Values of different lengths, so that a mixture would show.
                let (a, b) = (n % 1013, "x".repeat(1 + (n % 40) as usize));
                profiled::labels! { "a" => a, "b" => b, "c" => a }
                profiled::labels::with(&[("d", "inner")], || std::hint::black_box(n));
            }
        }
        let profile = read_snapshot(&session.stop());
        let labelled: Vec<_> =
            profile.samples().iter().filter(|sample| sample.text("a").is_some()).cloned().collect();
        assert!(labelled.len() > 20, "{}", labelled.len());
        for sample in labelled {
            assert_eq!(sample.text("a"), sample.text("c"));
            assert!(sample.text("b").is_some_and(|b| b.len() <= 40 && b.bytes().all(|byte| byte == b'x')));
            assert!(sample.text("d").is_none_or(|d| d == "inner"));
        }
    });
}
