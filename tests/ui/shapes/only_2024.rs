//! What compiles since 2024 alone: with braces of another edition around it, it would not.
use profiled::profiled;
use std::cell::RefCell;
use std::sync::Mutex;

#[profiled]
fn temporary_in_tail() -> usize {
    let cell = RefCell::new(vec![1]);
    cell.borrow().len()
}

#[profiled]
async fn temporary_in_async_tail() -> usize {
    let cell = Mutex::new(vec![1]);
    cell.lock().unwrap().len()
}

#[profiled]
fn temporary_in_future() -> impl Future<Output = usize> {
    async move {
        let cell = RefCell::new(vec![1]);
        cell.borrow().len()
    }
}

#[profiled]
fn future_of_the_prelude() -> impl Future<Output = u32> + Send {
    async { 1 }
}

#[test]
fn temporaries_end_before_locals() {
    assert_eq!(temporary_in_tail(), 1);
    assert_eq!(crate::shapes::block_on(temporary_in_async_tail()), 1);
    assert_eq!(crate::shapes::block_on(temporary_in_future()), 1);
    assert_eq!(crate::shapes::block_on(future_of_the_prelude()), 1);
}
