//! A macro that makes a macro that makes the function.
use profiled::profiled;

macro_rules! outer {
    ($d:tt $name:ident) => {
        macro_rules! inner {
                                    ($d e:expr) => {
                                        #[profiled]
                                        fn $name() -> u32 {
                                            $d e
                                        }
                                    };
                                }
        inner!(1 + 1);
    };
}

outer!($ shape);

pub(crate) fn run() {
    is!(shape(), 2);
}
