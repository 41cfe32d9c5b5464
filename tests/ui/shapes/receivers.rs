//! Every `self`, and none.
use profiled::profiled;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

#[derive(Clone, Debug, Default, PartialEq)]
struct Cart {
    n: u32,
}

impl Cart {
    const N: u32 = 4;

    #[profiled]
    fn new() -> Self {
        Self { n: Self::N }
    }

    #[profiled]
    fn by_ref(&self) -> u32 {
        self.n
    }

    #[profiled]
    fn by_mut(&mut self) -> &mut u32 {
        self.n += 1;
        &mut self.n
    }

    #[profiled]
    fn by_value(self) -> u32 {
        self.n
    }

    #[profiled]
    fn by_mut_value(mut self) -> Self {
        self.n += 1;
        self
    }

    #[profiled]
    fn named<'a>(&'a self, _other: &u32) -> &'a u32 {
        &self.n
    }

    #[profiled]
    fn boxed(self: Box<Self>) -> u32 {
        self.n
    }

    #[profiled]
    fn pinned(self: Pin<&mut Self>) -> u32 {
        self.n
    }

    #[profiled]
    fn counted(self: Rc<Self>) -> u32 {
        self.n
    }

    #[profiled]
    fn by_arc(self: &Arc<Self>) -> u32 {
        self.n
    }

    #[profiled]
    async fn waits(&self) -> &u32 {
        &self.n
    }

    #[profiled]
    async fn waits_mut(&mut self, by: u32) -> &mut Self {
        self.n += by;
        self
    }

    #[profiled]
    async fn waits_value(mut self) -> Self {
        self.n += 1;
        super::pause().await;
        self
    }

    #[profiled]
    async fn waits_arc(self: Arc<Self>) -> u32 {
        super::pause().await;
        self.n
    }
}

#[test]
fn they_all_work() {
    let mut cart = Cart::new();
    assert_eq!(cart.by_ref(), 4);
    *cart.by_mut() += 1;
    assert_eq!(cart.clone().by_value(), 6);
    assert_eq!(cart.clone().by_mut_value().n, 7);
    assert_eq!(*cart.named(&1), 6);
    assert_eq!(Box::new(cart.clone()).boxed(), 6);
    assert_eq!(Pin::new(&mut cart).pinned(), 6);
    assert_eq!(Rc::new(cart.clone()).counted(), 6);
    assert_eq!(Arc::new(cart.clone()).by_arc(), 6);
    super::block_on(async {
        assert_eq!(*cart.waits().await, 6);
        assert_eq!(cart.waits_mut(2).await.n, 8);
        assert_eq!(cart.clone().waits_value().await.n, 9);
        assert_eq!(Arc::new(cart).waits_arc().await, 8);
    });
}
