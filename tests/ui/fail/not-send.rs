//! What is not `Send` without the attribute is not with it.
use profiled::profiled;

#[profiled]
async fn waits(n: std::rc::Rc<u32>) -> u32 {
    std::future::ready(()).await;
    *n
}

fn send<T: Send>(_: T) {}

fn main() {
    send(waits(std::rc::Rc::new(1)));
}
