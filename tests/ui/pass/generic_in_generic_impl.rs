//! Parameters of the function and of the block.
use profiled::profiled;

struct Pair<A, B = u8>(A, B);
impl<A: Copy, B> Pair<A, B>
where
    B: Default,
{
    #[profiled]
    fn shape<C: From<A>>(&self) -> (B, C) {
        (B::default(), C::from(self.0))
    }
}

pub(crate) fn run() {
    is!((Pair(1_u8, 1_u8).shape::<u32>(), Pair(1, 2).1), ((0, 1), 2));
}
