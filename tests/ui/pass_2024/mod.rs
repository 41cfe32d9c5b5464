//! Shapes that compile since the edition of 2024 alone.

macro_rules! shapes {
    ($($name:ident)*) => {
        $(mod $name;)*

        /// Each shape's name and what runs it.
        #[allow(dead_code)]
        pub(crate) const SHAPES: &[(&str, fn())] = &[$((stringify!($name), $name::run)),*];

        #[cfg(test)]
        mod tests {
            $(
                #[test]
                fn $name() {
                    super::$name::run();
                }
            )*
        }
    };
}

shapes! {
    edition_2024_async_tail
    edition_2024_captures
    edition_2024_future_tail
    edition_2024_let_chains
    edition_2024_never
    edition_2024_tail
}
