//! Names of ours and of the prelude, used by others.
#![allow(non_camel_case_types, non_upper_case_globals, dead_code)]

/// Our names as arguments, locals and items.
mod ours {
    use profiled::profiled;

    #[profiled]
    fn arguments(_scope: u32, output: u32, enter: u32) -> u32 {
        _scope + output + enter
    }

    #[profiled]
    fn locals() -> u32 {
        let _scope = 1;
        let site = _scope + 1;
        _scope + site
    }

    #[profiled]
    fn not_visible() -> u32 {
        // The guard is no variable of the user's, so that this one is the function below.
        _scope()
    }

    fn _scope() -> u32 {
        5
    }

    #[profiled]
    async fn async_arguments(_scope: u32, output: u32, fut: u32) -> u32 {
        if output == 0 {
            return 0;
        }
        _scope + output + fut
    }

    static __PROFILED_SITE: u32 = 6;

    #[profiled]
    fn statics() -> u32 {
        enum __ProfiledHere {}
        _ = size_of::<__ProfiledHere>();
        static SITE: u32 = 7;
        __PROFILED_SITE + SITE
    }

    #[profiled]
    fn inner_static() -> u32 {
        static __PROFILED_SITE: u32 = 8;
        __PROFILED_SITE
    }

    #[test]
    fn they_are_the_users() {
        assert_eq!(arguments(1, 2, 3), 6);
        assert_eq!(locals(), 3);
        assert_eq!(not_visible(), 5);
        assert_eq!(super::super::block_on(async_arguments(1, 2, 3)), 6);
        assert_eq!((statics(), inner_static()), (13, 8));
    }

    use std::mem::size_of;
}

/// The prelude's names, and the primitive types'.
mod prelude {
    use profiled::profiled;
    struct Some;
    struct None;
    struct Option;
    struct Box;
    struct String;
    struct str;
    struct bool;
    struct u32;
    struct Send;
    trait Drop {}
    trait Future {}
    fn drop() {}

    #[profiled]
    fn shadowed() -> u64 {
        drop();
        1
    }

    #[profiled]
    async fn async_shadowed() -> u64 {
        drop();
        2
    }

    #[profiled]
    impl Box {
        fn pin(a: u64) -> u64 {
            a
        }
    }

    #[profiled]
    fn not_the_box() -> u64 {
        Box::pin(3)
    }

    #[test]
    fn they_are_not_ours() {
        assert_eq!((shadowed(), not_the_box()), (1, 3));
        assert_eq!(super::super::block_on(async_shadowed()), 2);
    }
}

/// Modules with the names of crates.
mod modules {
    use ::profiled::profiled as attribute;
    mod std {}
    mod core {}
    mod alloc {}
    mod profiled {
        pub mod __private {}
    }
    mod inventory {}

    #[attribute]
    fn sync() -> u32 {
        1
    }

    #[attribute]
    async fn asynchronous() -> u32 {
        2
    }

    #[attribute]
    impl Cart {
        fn method() -> u32 {
            3
        }
    }
    struct Cart;

    #[test]
    fn they_are_not_ours() {
        assert_eq!((sync(), Cart::method()), (1, 3));
        assert_eq!(super::super::block_on(asynchronous()), 2);
    }
}

/// Macros with the names of the standard library's.
mod macros {
    use profiled::profiled;

    #[allow(unused_macros)]
    macro_rules! concat {
        ($($t:tt)*) => {
            compile_error!("ours")
        };
    }
    #[allow(unused_macros)]
    macro_rules! line {
        ($($t:tt)*) => {
            compile_error!("ours")
        };
    }
    #[allow(unused_macros)]
    macro_rules! file {
        ($($t:tt)*) => {
            compile_error!("ours")
        };
    }
    #[allow(unused_macros)]
    macro_rules! module_path {
        ($($t:tt)*) => {
            compile_error!("ours")
        };
    }
    #[allow(unused_macros)]
    macro_rules! submit {
        ($($t:tt)*) => {
            compile_error!("ours")
        };
    }

    #[profiled]
    fn sync() -> u32 {
        1
    }

    #[profiled]
    async fn asynchronous() -> u32 {
        2
    }

    #[test]
    fn they_are_not_ours() {
        assert_eq!(sync(), 1);
        assert_eq!(super::super::block_on(asynchronous()), 2);
    }
}

/// The attribute under another name, and a module, a function and a type with its own.
mod renamed {
    use ::profiled::profiled as p;

    #[p]
    fn profiled() -> u32 {
        1
    }

    #[p]
    impl Profiled {
        #[p(skip)]
        fn profiled(&self) -> u32 {
            profiled() + 1
        }
    }
    struct Profiled;

    #[test]
    fn they_all_work() {
        assert_eq!(Profiled.profiled(), 2);
    }
}
