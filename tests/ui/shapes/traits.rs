//! Methods of traits.
use super::{block_on, pause, send};
use async_trait::async_trait;
use profiled::profiled;
use std::future::Future;

trait Store {
    fn required(&self) -> u32;

    #[profiled]
    fn default_body(&self) -> u32 {
        self.required() + 1
    }

    #[profiled]
    fn for_sized() -> u32
    where
        Self: Sized,
    {
        7
    }

    #[allow(async_fn_in_trait)]
    #[profiled]
    async fn default_async(&self) -> u32 {
        pause().await;
        self.required()
    }
}

struct Memory(u32);

impl Store for Memory {
    #[profiled]
    fn required(&self) -> u32 {
        self.0
    }
}

impl Store for str {
    #[profiled]
    fn required(&self) -> u32 {
        self.len() as u32
    }
}

trait Waits {
    fn wait(&self) -> impl Future<Output = u32> + Send;
}

impl Waits for Memory {
    #[profiled]
    async fn wait(&self) -> u32 {
        pause().await;
        self.0
    }
}

impl Waits for u8 {
    #[profiled]
    fn wait(&self) -> impl Future<Output = u32> + Send {
        let n = u32::from(*self);
        async move {
            pause().await;
            n
        }
    }
}

#[async_trait]
trait Service {
    async fn call(&self, request: &str) -> Result<Option<Box<dyn std::fmt::Display + Send>>, String>;

    #[profiled]
    async fn default_body(&mut self, n: u32) -> u32 {
        pause().await;
        n
    }
}

#[async_trait]
impl Service for Memory {
    #[profiled]
    async fn call(&self, request: &str) -> Result<Option<Box<dyn std::fmt::Display + Send>>, String> {
        if request.is_empty() {
            return Ok(None);
        }
        pause().await;
        Ok(Some(Box::new(self.0)))
    }
}

struct Annotated;

#[profiled]
#[async_trait]
impl Service for Annotated {
    async fn call(&self, request: &str) -> Result<Option<Box<dyn std::fmt::Display + Send>>, String> {
        pause().await;
        Err(request.to_owned())
    }
}

struct AnnotatedAfter;

#[async_trait]
#[profiled]
impl Service for AnnotatedAfter {
    async fn call(&self, request: &str) -> Result<Option<Box<dyn std::fmt::Display + Send>>, String> {
        pause().await;
        Err(request.to_uppercase())
    }
}

#[test]
fn they_all_work() {
    let mut memory = Memory(3);
    assert_eq!((memory.required(), memory.default_body(), Memory::for_sized()), (3, 4, 7));
    assert_eq!("ab".required(), 2);
    block_on(async {
        assert_eq!(memory.default_async().await, 3);
        assert_eq!(send(Waits::wait(&memory)).await, 3);
        assert_eq!(send(Waits::wait(&1_u8)).await, 1);
        assert!(memory.call("").await.unwrap().is_none());
        assert_eq!(send(memory.call("a")).await.unwrap().unwrap().to_string(), "3");
        assert_eq!(Service::default_body(&mut memory, 5).await, 5);
        assert_eq!(Annotated.call("a").await.err(), Some("a".to_owned()));
        assert_eq!(AnnotatedAfter.call("a").await.err(), Some("A".to_owned()));
    });
}
