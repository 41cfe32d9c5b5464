//! A small shop in which every macro of `profiled` is used at least once.
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use profiled::sync::Mutex;
use profiled::{labels, profile, profile_mutex, profiled};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

profile! { pub static BASKETS = "shop/baskets"; }

profile_mutex! {
    /// All that was ordered: `profile_mutex!("in a comment")`.
    static ORDERS: Mutex<Vec<Order>> = Mutex::new(Vec::new());
}

struct Order {
    user: u64,
    sum: u32,
}

struct Shop {
    prices: Mutex<HashMap<String, u32>>,
}

#[profiled]
impl Shop {
    fn new() -> Shop {
        let prices = [("tea", 3), ("jam", 5)].map(|(name, price)| (name.to_owned(), price));
        Shop { prices: profile_mutex!("prices", Mutex::new(HashMap::from(prices))) }
    }

    #[profiled(skip)]
    fn price(&self, name: &str) -> Option<u32> {
        self.prices.lock().ok()?.get(name).copied()
    }

    #[inline(never)]
    fn checkout(&self, user: u64, names: &[&str]) -> Result<u32, String> {
        labels! { "user" => user, "route" => "/checkout" }
        let _basket = BASKETS.track();
        let mut sum = 0;
        for name in names {
            sum += self.price(name).ok_or_else(|| format!("no {name} #[profiled] today"))?;
        }
        let discount = profile_mutex!(Mutex::new(sum / 10));
        sum -= *discount.lock().unwrap();
        ORDERS.lock().unwrap().push(Order { user, sum });
        Ok(sum)
    }

    #[profiled(name = "shop/deliver")]
    async fn deliver(&self, weight: u32) -> u32 {
        if weight == 0 {
            return 0;
        }
        std::future::ready(()).await;
        weight * quote(weight).await
    }
}

#[profiled]
fn quote(weight: u32) -> impl Future<Output = u32> {
    async move { weight.pow(2) }
}

#[profiled]
#[inline(never)]
fn fibonacci(n: u64) -> u64 {
    if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

#[cfg_attr(all(), profiled(name = "main"))]
fn main() {
    let shop = Shop::new();
    println!("{:?} {:?}", shop.checkout(1, &["tea", "jam"]), shop.checkout(2, &["salt"]));
    let mut delivery = pin!(shop.deliver(3));
    if let Poll::Ready(days) = delivery.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        println!("{days} days, {}", fibonacci(u64::from(days)));
    }
    let orders = ORDERS.lock().unwrap();
    println!("{:?}", orders.iter().map(|order| (order.user, order.sum)).collect::<Vec<_>>());
}
