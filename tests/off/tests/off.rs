//! Switched off, everything is there and nothing happens.
//!
//! Built together with a package that turns the switch on, all but the last two tests vanish.
use std::process::Command;

profiled::__private::when_off! {
    use std::mem::{needs_drop, size_of, size_of_val};
    use std::panic::{RefUnwindSafe, UnwindSafe};

    use profiled_test_off as api;

    #[test]
    fn every_start_succeeds_and_every_collection_is_empty() {
        assert_eq!(api::registry().unwrap(), []);
        assert!(profiled::lookup("heap").is_none() && profiled::lookup("example.com/connections").is_none());
        drop(api::custom().unwrap());
        assert_eq!((api::CONNECTIONS.count(), api::CONNECTIONS.name()), (0, "example.com/connections"));
        assert_eq!(api::CONNECTIONS.kind(), profiled::Kind::Custom);
        let snapshot = api::windows().unwrap();
        assert_eq!(api::read(&snapshot), (0, vec![]));
        assert!(api::write(&snapshot).unwrap().is_empty());
        assert_eq!(api::rates(), [0; 4]);
        assert_eq!(api::labelled(), (7, vec![]));
        for address in api::servers().unwrap() {
            assert!(address.parse::<std::net::SocketAddr>().is_ok(), "{address}");
        }
        assert_eq!(api::threads().unwrap(), 6);
        assert_eq!(api::flights().unwrap(), Default::default());
        assert_eq!(api::traces().unwrap(), (false, profiled::trace::Summary::default()));
        #[cfg(feature = "tracing")]
        assert_eq!(api::spans(), Some("span"));
        assert_eq!(api::locks(), 5);
        assert_eq!(api::waits(), 1 + 2 + 4 + 8 + 1);
        let shop = api::Shop::default();
        assert_eq!(shop.take(), 1);
    }

    #[test]
    fn a_future_with_labels_is_that_future() {
        use std::task::{Context, Poll, Waker};
        let polled = std::pin::pin!(api::labelled_future()).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(None));
        let bare = std::future::ready([7_u64; 9]);
        assert_eq!(size_of_val(&profiled::labels::FutureExt::with_labels(bare.clone(), &[])), size_of_val(&bare));
    }

    /// Nor does the environment ask for anything, whatever is in it.
    #[test]
    fn the_environment_is_not_read() {
        let file = std::env::temp_dir().join(format!("profiled-off-{}-heap", std::process::id()));
        if std::env::var_os("PROFILED_HEAP").is_some() {
            drop(api::environment());
            return;
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["the_environment_is_not_read", "--exact", "--nocapture"])
            .env("PROFILED_HEAP", &file)
            .env("PROFILED_CPU_HZ", "no number")
            .output()
            .unwrap();
        assert!(output.status.success() && !file.exists());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }

    #[test]
    #[cfg(feature = "criterion")]
    fn a_benchmark_leaves_nothing_behind() {
        use criterion::profiler::Profiler as _;
        let folder = std::env::temp_dir().join(format!("profiled-off-{}", std::process::id()));
        let mut profiler = profiled::criterion::Profiler::new(100);
        profiler.start_profiling("benchmark", &folder);
        profiler.stop_profiling("benchmark", &folder);
        assert!(!folder.exists());
        let _ = api::benchmarks();
        assert_eq!(size_of::<profiled::criterion::Profiler>(), 0);
    }

    #[test]
    fn nothing_takes_room() {
        assert_eq!(size_of::<profiled::Tracked>(), 0);
        assert_eq!(size_of::<profiled::Key>(), 0);
        assert_eq!(size_of::<profiled::Snapshot>(), 0);
        assert_eq!(size_of::<profiled::Allocator>(), 0);
        assert_eq!(size_of::<profiled::cpu::Session>(), 0);
        assert_eq!(size_of::<profiled::cpu::Options>(), 0);
        assert_eq!(size_of::<profiled::deadlock::Watch>(), 0);
        assert_eq!(size_of::<profiled::http::Server>(), 0);
        assert_eq!(size_of::<profiled::Guard>(), 0);
        assert_eq!(size_of::<profiled::http::Handler>(), 0);
        assert_eq!(size_of::<profiled::labels::Labels>(), 0);
        assert_eq!(size_of::<profiled::__private::Scope>(), 0);
        assert_eq!(size_of::<profiled::__private::LabelScope>(), 0);
        assert_eq!(size_of::<profiled::__private::FunctionSite>(), 0);
        let orders: &std::sync::Mutex<Vec<u32>> = &api::ORDERS;
        assert_eq!(size_of_val(orders), size_of::<std::sync::Mutex<Vec<u32>>>());
        // As their originals have.
        assert!(needs_drop::<profiled::Tracked>() && needs_drop::<profiled::cpu::Session>());
        assert!(needs_drop::<profiled::Guard>() && needs_drop::<profiled::deadlock::Watch>());
    }

    #[test]
    fn what_the_user_wrote_is_what_there_is() {
        // A future is the size of its source without the attribute.
        async fn bare(shop: &api::Shop) -> u32 {
            shop.take()
        }
        let shop = api::Shop::default();
        assert_eq!(size_of_val(&shop.wait()), size_of_val(&bare(&shop)));
        // Values of labels are not evaluated.
        fn never() -> u32 {
            panic!("evaluated")
        }
        profiled::labels! { "key" => never() }
    }

    const _: () = {
        const fn everywhere<T: Send + Sync + 'static>() {}
        const fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
        const fn sends<T: Send + 'static>() {}
        everywhere::<profiled::Profile>();
        unwind_safe::<profiled::Profile>();
        everywhere::<profiled::Tracked>();
        everywhere::<profiled::Snapshot>();
        everywhere::<profiled::http::Handler>();
        everywhere::<profiled::deadlock::Watch>();
        everywhere::<profiled::deadlock::Cycle>();
        sends::<profiled::cpu::Session>();
        sends::<profiled::http::Server>();
        sends::<profiled::Guard>();
        everywhere::<profiled::labels::WithLabels<()>>();
        unwind_safe::<profiled::labels::WithLabels<()>>();
    };

    /// The guard of `labels!` belongs to its thread in both states.
    #[test]
    fn a_label_scope_is_not_send() {
        trait Ambiguous<A> {
            fn which() -> bool {
                true
            }
        }
        struct IfSend;
        impl<T> Ambiguous<()> for T {}
        impl<T: Send> Ambiguous<IfSend> for T {}
        // With two candidates `_` cannot be inferred: this compiles for as long as it is not `Send`.
        assert!(<profiled::__private::LabelScope as Ambiguous<_>>::which());
    }

    /// What the attribute emits compiles although the crate is off: this is its expansion, written out.
    #[test]
    fn expansions_find_what_they_name() {
        fn sync() -> u32 {
            let _scope = ::profiled::__private::enter({
                extern "C" fn start() {
                    ::profiled::__private::register(&SITE);
                }
                ::profiled::__private::register!(SITE, start);
                static SITE: ::profiled::__private::FunctionSite =
                    ::profiled::__private::Name::path(::core::module_path!(), "sync", start).here();
                &SITE
            });
            1
        }
        static SITE: ::profiled::__private::FunctionSite =
            ::profiled::__private::Name::Literal("a").here();
        let future = async move { 2 };
        let size = size_of_val(&future);
        assert_eq!(size_of_val(&::profiled::__private::Polled::new(&SITE, future)), size);
        assert_eq!(sync(), 1);
        _ = ::profiled::__private::Name::Prefixed("a", "b");
    }
}

/// Whatever state it is in.
#[test]
fn every_method_is_there() {
    use profiled_test_off::methods;
    methods::standard::all();
    #[cfg(feature = "parking_lot")]
    methods::parking_lot::all();
    #[cfg(feature = "parking_lot_0_13")]
    methods::parking_lot_0_13::all();
    #[cfg(feature = "tokio")]
    methods::tokio::all();
}

#[test]
fn the_tree_is_two_crates() {
    let tree = |features: &str| {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "-p",
                "profiled",
                "-e",
                "normal,build",
                "--prefix",
                "none",
                "--no-default-features",
            ])
            .args(["--features", features, "-f", "{p}"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tree(""), ["profiled", "profiled-macros"]);
    assert!(tree("enabled").len() > 2);
}
