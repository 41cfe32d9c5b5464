//! Macros with the names of the standard library's.
use crate::support::block_on;

#[allow(unused_macros)]
mod inner {
    use profiled::profiled;
    macro_rules! concat {
        ($($t:tt)*) => {
            compile_error!("the user's")
        };
    }
    macro_rules! line {
        ($($t:tt)*) => {
            compile_error!("the user's")
        };
    }
    macro_rules! column {
        ($($t:tt)*) => {
            compile_error!("the user's")
        };
    }
    macro_rules! file {
        ($($t:tt)*) => {
            compile_error!("the user's")
        };
    }
    macro_rules! module_path {
        ($($t:tt)*) => {
            compile_error!("the user's")
        };
    }
    macro_rules! stringify {
        ($($t:tt)*) => {
            compile_error!("the user's")
        };
    }
    macro_rules! submit {
        ($($t:tt)*) => {
            compile_error!("the user's")
        };
    }
    macro_rules! labels {
        ($($t:tt)*) => {
            compile_error!("the user's")
        };
    }
    #[profiled(labels(key = 1))]
    pub(super) fn shape() -> u32 {
        1
    }
    #[profiled]
    pub(super) async fn later() -> u32 {
        2
    }
}

pub(crate) fn run() {
    is!((inner::shape(), block_on(inner::later())), (1, 2));
}
