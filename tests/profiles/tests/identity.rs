//! What is one profile, and what is two.
use std::cell::Cell;
use std::sync::Mutex as StdMutex;

use profiled::sync::Mutex;
use profiled::{Kind, lookup, profile_mutex, profiled, profiles};

fn count(name: &str) -> usize {
    let name = format!("{}::{name}", module_path!());
    lookup(&name).unwrap_or_else(|| panic!("{name} is not there")).count()
}

struct Cart;
struct Basket<T>(T);

impl Cart {
    #[profiled]
    fn new() -> Self {
        Cart
    }
}

// The only methods of their blocks, annotated themselves: the attribute sees no type.
impl Basket<u32> {
    #[profiled]
    fn new() -> Self {
        Basket(1)
    }
}

impl Basket<Vec<u8>> {
    #[profiled]
    fn new() -> Self {
        Basket(vec![])
    }
}

#[profiled]
fn new() -> u32 {
    1
}

trait Open {
    fn open(&self) {}
}

#[profiled]
impl Open for Cart {
    fn open(&self) {}
}

#[profiled]
impl<T> Open for Basket<T> {
    fn open(&self) {}
}

mod other {
    pub(super) struct Cart;

    impl Cart {
        #[profiled::profiled]
        pub(super) fn new() -> Self {
            Cart
        }
    }
}

#[test]
fn each_type_has_its_own_new() {
    for _ in 0..2 {
        Cart::new().open();
    }
    for _ in 0..3 {
        Basket::<u32>::new().open();
    }
    for _ in 0..4 {
        assert!(Basket::<Vec<u8>>::new().0.is_empty());
    }
    for _ in 0..5 {
        let _ = other::Cart::new();
    }
    for _ in 0..6 {
        new();
    }
    let own = ["Cart::new", "Basket<u32>::new", "Basket<Vec<u8>>::new", "other::Cart::new", "new"];
    assert_eq!(own.map(count), [2, 3, 4, 5, 6]);
    assert_eq!(["<Cart as Open>::open", "<Basket as Open>::open"].map(count), [2, 3]);
    assert_eq!(Basket(1).0, 1);
}

/// A function is a place in the source, however many types it is compiled for.
#[test]
fn a_generic_function_is_one() {
    #[profiled]
    fn shown<T: std::fmt::Debug>(value: T) -> usize {
        format!("{value:?}").len()
    }
    let lengths = shown(1) + shown("a") + shown([1, 2]) + shown(Cell::new(1));
    assert!(lengths > 4);
    assert_eq!(count("a_generic_function_is_one::shown"), 4);
}

/// Two of one path: the compiler tells no more of them than where they stand.
#[test]
fn on_a_clash_the_place_tells() {
    fn twice() -> (u32, u32) {
        let first = {
            #[profiled]
            fn same() -> u32 {
                line!()
            }
            same()
        };
        let second = {
            #[profiled]
            fn same() -> u32 {
                line!()
            }
            same() + same() - same()
        };
        (first, second)
    }
    let (first, second) = twice();
    let prefix = format!("{}::on_a_clash_the_place_tells::twice::same", module_path!());
    let mut found: Vec<_> = profiles()
        .into_iter()
        .filter(|profile| profile.name().starts_with(&prefix))
        .map(|profile| (profile.name().to_owned(), profile.count()))
        .collect();
    found.sort_by_key(|(_, count)| *count);
    assert_eq!(found.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 3], "{found:?}");
    // Only the later one is told apart, by the line of its name.
    let lines = [first - 1, second - 1].map(|line| format!(":{line}"));
    let placed = found.iter().filter(|(name, _)| name != &prefix).collect::<Vec<_>>();
    assert_eq!(placed.len(), 1, "{found:?}");
    assert!(lines.iter().any(|line| placed[0].0.contains(line)), "{found:?}");
}

fn locks() -> Vec<String> {
    let locks = profiles().into_iter().filter(|profile| profile.kind() == Kind::Lock);
    locks.map(|profile| profile.name().to_owned()).collect()
}

/// Locks are as many as there are places that make them.
#[test]
fn a_million_locks_of_one_place_are_one_row() {
    fn typed(n: u32) -> Mutex<u32> {
        Mutex::new(n)
    }
    fn named(n: u32) -> Mutex<u32> {
        profile_mutex!("identity/named", StdMutex::new(n))
    }
    fn wait_for(lock: &Mutex<u32>) {
        std::thread::scope(|scope| {
            let guard = lock.lock().unwrap();
            let waiter = scope.spawn(|| *lock.lock().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(5));
            drop(guard);
            waiter.join().unwrap();
        });
    }
    profiled::mutex::set_fraction(1);
    let before = locks();
    assert_eq!(before, ["identity/named"]);
    let mut sum = 0_u64;
    for n in 0..1_000_000 {
        sum += u64::from(*typed(n).lock().unwrap()) + u64::from(*named(n).lock().unwrap());
    }
    assert_eq!(sum, 999_999 * 1_000_000);
    // Three that somebody waited for, each a lock of its own.
    for n in 0..3 {
        wait_for(&typed(n));
        wait_for(&named(n));
    }
    let mut after = locks();
    after.retain(|name| !before.contains(name));
    assert_eq!(after.len(), 1, "{after:?}");
    assert!(after[0].contains("identity.rs:"), "{after:?}");
    for name in ["identity/named", &after[0]] {
        let profile = lookup(name).unwrap();
        assert!(profile.count() > 0, "{name}");
    }
}
