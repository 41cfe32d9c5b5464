//! How functions end.
use profiled::profiled;
use std::panic::catch_unwind;

#[profiled]
fn empty() {}

#[rustfmt::skip]
#[profiled]
fn one_line(a: u32) -> u32 {
    a + 1
}

#[profiled]
fn early(a: u32) -> u32 {
    if a == 0 {
        return 7;
    }
    a
}

#[profiled]
fn question(text: &str) -> Result<u32, std::num::ParseIntError> {
    let n: u32 = text.parse()?;
    Ok(n + 1)
}

#[profiled]
fn question_option(list: &[u32]) -> Option<u32> {
    Some(list.first()? + 1)
}

#[profiled]
fn labelled() -> u32 {
    let mut n = 0;
    'outer: loop {
        loop {
            n += 1;
            if n == 5 {
                break 'outer n;
            }
        }
    }
}

#[profiled]
fn recursive(n: u64) -> u64 {
    if n < 2 { n } else { recursive(n - 1) + recursive(n - 2) }
}

#[profiled]
fn never() -> ! {
    panic!("on purpose")
}

#[profiled]
fn never_with_semicolon() -> ! {
    std::panic::panic_any(3_u8);
}

#[profiled]
fn never_loops(n: u32) -> ! {
    loop {
        if n == 1 {
            panic!()
        }
    }
}

#[profiled]
fn boxed_dyn(flag: bool) -> Box<dyn std::fmt::Display> {
    if flag {
        return Box::new(1_u8);
    }
    Box::new("two")
}

#[profiled]
fn slice() -> &'static [u8] {
    &[1, 2, 3]
}

#[profiled]
fn pointer() -> fn(u32) -> u32 {
    one_line
}

#[profiled]
fn closure(by: u32) -> impl Fn(u32) -> u32 {
    move |a| a + by
}

#[profiled]
fn closure_called() -> u32 {
    let add = |a: u32| -> u32 {
        if a > 1 {
            return 10;
        }
        a
    };
    add(1) + add(2)
}

#[profiled]
fn iterator(list: &[u32]) -> impl Iterator<Item = &u32> {
    list.iter().filter(|n| **n > 1)
}

#[profiled]
fn captures<'a>(list: &'a [u32], _other: &str) -> impl Iterator<Item = u32> + use<'a> {
    list.iter().map(|n| n * 2)
}

#[profiled]
fn nested_impl(n: u32) -> (impl Iterator<Item = u32>, Option<impl Fn() -> u32>) {
    (0..n, Some(move || n))
}

#[profiled]
fn unit_result() -> Result<(), String> {
    Ok(())
}

#[profiled]
fn statement_tail(list: &mut Vec<u32>) {
    list.push(1);
    if list.len() > 1 {
        list.clear()
    }
}

#[profiled]
fn items_inside() -> u32 {
    const LOCAL: u32 = 1;
    static STATIC: u32 = 2;
    struct Inner(u32);
    impl Inner {
        #[profiled]
        fn get(&self) -> u32 {
            self.0
        }
    }
    #[profiled]
    fn inner() -> u32 {
        3
    }
    use std::cmp::max;
    max(LOCAL, STATIC) + inner() + Inner(4).get()
}

#[profiled]
unsafe fn unsafe_fn(p: *const u32) -> u32 {
    unsafe { *p }
}

#[profiled]
extern "C" fn extern_c(a: u32) -> u32 {
    a + 2
}

#[profiled]
unsafe extern "C-unwind" fn unwinding(a: u32) -> u32 {
    a + 3
}

#[profiled]
#[unsafe(no_mangle)]
pub extern "C" fn profiled_shapes_exported(a: u32) -> u32 {
    a + 4
}

#[cfg(target_arch = "x86_64")]
#[profiled]
#[target_feature(enable = "sse2")]
fn with_target_feature(a: u32) -> u32 {
    a + 5
}

#[test]
fn they_end_as_they_did() {
    empty();
    assert_eq!(one_line(1), 2);
    assert_eq!((early(0), early(1)), (7, 1));
    assert_eq!(question("4"), Ok(5));
    assert!(question("x").is_err());
    assert_eq!((question_option(&[1]), question_option(&[])), (Some(2), None));
    assert_eq!(labelled(), 5);
    assert_eq!(recursive(10), 55);
    assert!(catch_unwind(|| never()).is_err());
    assert_eq!(catch_unwind(|| never_with_semicolon()).unwrap_err().downcast_ref(), Some(&3_u8));
    assert!(catch_unwind(|| never_loops(1)).is_err());
    assert_eq!(format!("{}{}", boxed_dyn(true), boxed_dyn(false)), "1two");
    assert_eq!(slice(), [1, 2, 3]);
    assert_eq!(pointer()(1), 2);
    assert_eq!(closure(2)(1), 3);
    assert_eq!(closure_called(), 11);
    assert_eq!(iterator(&[1, 2]).count(), 1);
    assert_eq!(captures(&[1, 2], "").sum::<u32>(), 6);
    assert_eq!(nested_impl(3).0.count(), 3);
    assert_eq!(nested_impl(3).1.map(|f| f()), Some(3));
    assert_eq!(unit_result(), Ok(()));
    let mut list = vec![];
    statement_tail(&mut list);
    assert_eq!(list, [1]);
    assert_eq!(items_inside(), 9);
    assert_eq!(unsafe { unsafe_fn(&5) }, 5);
    assert_eq!(extern_c(1), 3);
    assert_eq!(unsafe { unwinding(1) }, 4);
    assert_eq!(profiled_shapes_exported(1), 5);
    #[cfg(target_arch = "x86_64")]
    assert_eq!(unsafe { with_target_feature(1) }, 6);
}
