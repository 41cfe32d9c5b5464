//! Braces in types, before the body.
use profiled::profiled;

#[profiled]
fn shape<T, const N: usize>(
    _: [T; {
        const N: usize = 1;
        N + 1
    }],
) -> [u8; {
    const N: usize = 2;
    N + 1
}]
where
    [T; {
        const N: usize = 1;
        N + 1
    }]: Sized,
{
    [u8::try_from(N).unwrap(); {
        const N: usize = 2;
        N + 1
    }]
}

pub(crate) fn run() {
    is!(shape::<u8, 4>([0, 0]), [4, 4, 4]);
}
