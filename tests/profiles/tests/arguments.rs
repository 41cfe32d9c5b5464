//! What the arguments of `#[profiled]` do.
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use profiled::{Profile, labels, lookup, profiled};

fn label(key: &str) -> Option<String> {
    labels::current().get(key).map(str::to_owned)
}

/// The labels of the samples in a function's own profile.
fn labels_of(profile: &Profile, key: &str) -> Vec<String> {
    let snapshot = profile.snapshot();
    let mut found: Vec<String> = snapshot
        .samples()
        .flat_map(|sample| {
            let value = sample.labels().find(|(k, _)| *k == key);
            value.map(|(_, value)| format!("{value:?}"))
        })
        .collect();
    found.sort();
    found
}

struct User {
    id: u64,
    name: String,
}

#[profiled(name = "arguments/sync", labels(user = user.id, "route" = format_args!("/{}", user.name),))]
fn sync(user: &User) -> [Option<String>; 2] {
    std::thread::sleep(std::time::Duration::from_millis(1));
    [label("user"), label("route")]
}

fn two<A, B: Default>(n: u32) -> B {
    _ = (n, size_of::<A>());
    B::default()
}

#[profiled(labels(turbofish = two::<u8, u32>(a), sum = a + 2 * a, r#type = if a < 3 { "small" } else { "big" }))]
fn expressions(a: u32) -> [Option<String>; 3] {
    [label("turbofish"), label("sum"), label("type")]
}

#[profiled(labels(task = name.len()))]
async fn waits(name: String) -> Vec<Option<String>> {
    let mut seen = vec![label("task")];
    Pause(false).await;
    seen.push(label("task"));
    drop(name);
    seen
}

#[profiled(labels(task = n))]
fn returns_future(n: u32) -> impl Future<Output = Option<String>> {
    let other = n + 1;
    async move {
        Pause(false).await;
        _ = other;
        label("task")
    }
}

#[profiled(labels(task = n))]
fn boxed(n: u32) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> {
    Box::pin(async move {
        Pause(false).await;
        label("task")
    })
}

struct Pause(bool);

impl Future for Pause {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn labels_hold_for_the_call_and_are_evaluated_at_each() {
    for (id, name) in [(1, "a"), (2, "b")] {
        let user = User { id, name: name.to_owned() };
        assert_eq!(sync(&user), [some(&id.to_string()), some(&format!("/{name}"))]);
        assert_eq!((label("user"), label("route")), (None, None));
    }
    // A call of a millisecond is timed each time, and its sample carries the labels.
    let profile = lookup("arguments/sync").unwrap();
    assert_eq!(labels_of(profile, "user"), ["Str(\"1\")", "Str(\"2\")"]);
    assert_eq!(labels_of(profile, "route"), ["Str(\"/a\")", "Str(\"/b\")"]);
}

#[test]
fn values_are_any_expression() {
    assert_eq!(expressions(1), [some("0"), some("3"), some("small")]);
    assert_eq!(expressions(5), [some("0"), some("15"), some("big")]);
}

#[test]
fn labels_end_with_a_panic() {
    #[profiled(labels(key = "value"))]
    fn panics() {
        assert_eq!(label("key"), some("value"));
        panic!("on purpose");
    }
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(label("key"), None);
}

/// They are the future's: not of whatever else runs on the thread between its polls.
#[test]
fn labels_of_a_future_hold_while_it_is_polled() {
    assert_eq!(block_on(waits("abc".to_owned())), [some("3"), some("3")]);
    assert_eq!(block_on(returns_future(4)), some("4"));
    assert_eq!(block_on(boxed(5)), some("5"));

    let mut first = Box::pin(waits("a".to_owned()));
    let mut second = Box::pin(waits("ab".to_owned()));
    assert!(poll(first.as_mut()).is_pending());
    assert_eq!(label("task"), None);
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(label("task"), None);
    // On another thread, and in the other order.
    std::thread::scope(|scope| {
        scope.spawn(move || {
            assert_eq!(poll(second.as_mut()), Poll::Ready(vec![some("2"); 2]));
            assert_eq!(label("task"), None);
        });
    });
    assert_eq!(poll(first.as_mut()), Poll::Ready(vec![some("1"); 2]));
}

/// What a future has inside ends under its labels, finished or not.
#[test]
fn labels_hold_when_a_future_is_dropped() {
    struct Asks<'a>(&'a mut Vec<Option<String>>);
    impl Drop for Asks<'_> {
        fn drop(&mut self) {
            self.0.push(label("task"));
        }
    }
    #[profiled(labels(task = "dropped"))]
    async fn holds(asks: Asks<'_>) {
        Pause(false).await;
        drop(asks);
    }
    let mut seen = Vec::new();
    {
        let mut future = Box::pin(holds(Asks(&mut seen)));
        assert!(poll(future.as_mut()).is_pending());
    }
    assert_eq!(seen, [some("dropped")]);
    assert_eq!(label("task"), None);
}

struct Shop {
    id: u32,
}

/// For all methods of a block, unless one says otherwise.
#[profiled(labels(shop = self.id), trace = false)]
impl Shop {
    fn open(&self) -> Option<String> {
        label("shop")
    }
    #[profiled(labels(other = 1))]
    fn close(&self) -> [Option<String>; 2] {
        [label("shop"), label("other")]
    }
    async fn wait(self) -> Option<String> {
        Pause(false).await;
        label("shop")
    }
    #[profiled(skip)]
    fn skipped(&self) -> Option<String> {
        label("shop")
    }
}

#[test]
fn a_block_labels_its_methods() {
    let shop = Shop { id: 7 };
    assert_eq!((shop.open(), shop.close(), shop.skipped()), (some("7"), [None, some("1")], None));
    assert_eq!(block_on(shop.wait()), some("7"));
}

/// There is no timeline yet: both values are accepted, and calls are counted.
#[test]
fn trace_is_accepted() {
    #[profiled(name = "arguments/trace", trace = false)]
    fn quiet() {}
    #[profiled(trace = true, name = "arguments/loud")]
    fn loud() {}
    quiet();
    loud();
    assert_eq!(lookup("arguments/trace").unwrap().count(), 1);
    assert_eq!(lookup("arguments/loud").unwrap().count(), 1);
}
