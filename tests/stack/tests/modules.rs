//! Libraries that come and go: their code is walked through while it is there, and keeps its name afterwards.
#![cfg(not(any(profiled_portable, target_env = "musl")))]
use profiled_test_stack::{Library, Score, library, ours};
use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;

const SOURCE: &str = "
typedef void look(void *);
static volatile char sink;
void call(look *f, void *p) { volatile char a[SIZE]; a[0] = sink; f(p); sink = a[0]; }
";

extern "C" fn look(seen: *mut c_void) {
    // SAFETY: the place below.
    let (score, addresses, epoch) = unsafe { &mut *seen.cast::<(Score, Vec<u64>, u32)>() };
    score.compare();
    *addresses = ours::capture_addresses(0).0;
    *epoch = ours::epoch();
}

#[test]
fn libraries_come_and_go() {
    let paths = [
        library("one", SOURCE, &["-DSIZE=100", "-Wl,--build-id"]),
        library("two", SOURCE, &["-DSIZE=3000", "-Wl,--build-id"]),
    ];
    let mut seen = (Score::default(), Vec::new(), 0);
    // An address in the library, the epoch it was seen in, and whose it was.
    let mut kept: Vec<(u64, u32, usize)> = Vec::new();
    let mut places = std::collections::HashSet::new();
    for round in 0..20 {
        let which = round % 2;
        let open = Library::open(&paths[which]);
        let call = open.caller(c"call");
        // Now and then the walk itself has to find out.
        if round % 3 == 0 {
            ours::prepare();
        }
        call(look, (&raw mut seen).cast());
        let inside = seen.1[1];
        let (path, build_id) = ours::module_at(inside, seen.2).expect("a module that is loaded");
        assert_eq!(path.as_bytes(), paths[which].as_os_str().as_bytes());
        assert_eq!(build_id.len(), 20);
        places.insert(inside & !0xfff);
        kept.push((inside, seen.2, which));
        drop(open);
    }
    ours::prepare();
    println!("20 libraries at {} places, epoch {}", places.len(), ours::epoch());
    assert_eq!(ours::epoch(), 20);
    assert!(places.len() < 20, "none took another's place: this proves nothing");
    for (address, epoch, which) in kept {
        let (path, _) = ours::module_at(address, epoch).expect("a module that was loaded");
        assert_eq!(path.as_bytes(), paths[which].as_os_str().as_bytes(), "in epoch {epoch}");
        assert_eq!(ours::module_at(address, ours::epoch()), None, "it is gone");
    }
    seen.0.check("libraries", 20);
    assert_eq!(seen.0.different, 0);
}

#[test]
fn the_program_and_the_kernel_have_names() {
    let (path, _) = ours::module_at(ours::capture_addresses(0).0[0], ours::epoch()).unwrap();
    assert_eq!(std::path::PathBuf::from(path), std::env::current_exe().unwrap());
    // SAFETY: takes a number, gives a number.
    let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let found = (0..16 << 10).find_map(|at| ours::module_at(vdso + at, ours::epoch()));
    assert_eq!(found.unwrap().0, "[vdso]");
}
