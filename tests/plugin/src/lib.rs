//! Functions in private modules, which a program may have as a dependency or load while it runs.
#![expect(unsafe_code, reason = "what is loaded by name has a name for the linker")]

mod inner {
    pub(super) mod deep {
        use profiled::profiled;

        pub(crate) struct Cart(pub(crate) u32);

        impl Cart {
            #[profiled]
            pub(crate) fn checkout(&self) -> u32 {
                std::hint::black_box(self.0) + 1
            }

            #[profiled]
            #[expect(dead_code, reason = "never runs, and is found all the same")]
            fn never(&self) {}
        }

        #[profiled]
        pub(crate) async fn never_waited() {}
    }
}

/// Calls the one function so many times.
pub fn call(times: u32) -> u32 {
    drop(inner::deep::never_waited());
    (0..times).map(|n| inner::deep::Cart(n).checkout()).fold(0, u32::wrapping_add)
}

/// How often the function of this name was called: -1 if there is none. What a name is, this library's own `profiled`
/// says.
pub fn count(name: &str) -> i64 {
    profiled::lookup(name).map_or(-1, |profile| i64::try_from(profile.count()).unwrap_or(i64::MAX))
}

/// [`call`], by name.
#[unsafe(no_mangle)]
pub extern "C" fn profiled_test_plugin_call(times: u32) -> u32 {
    call(times)
}

/// [`count`], by name.
///
/// # Safety
///
/// `name` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn profiled_test_plugin_count(name: *const u8, len: usize) -> i64 {
    // SAFETY: the caller's to keep.
    let name = unsafe { std::slice::from_raw_parts(name, len) };
    std::str::from_utf8(name).map_or(-2, count)
}
