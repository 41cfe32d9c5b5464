#![expect(unsafe_code, reason = "reads the vdso")]
//! Files and modules: their names, and what becomes of those that are damaged, replaced or gone.
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use object::{Object, ObjectSegment};

use super::image::Image;
use super::tests::outermost;
use super::{Level, resolve};
use crate::module::{Module, ModuleMap, Segment};

/// The modules of this process, by the kernel's list and the files themselves.
pub(crate) fn module_map() -> Arc<ModuleMap> {
    let mut text: BTreeMap<&str, Vec<Segment>> = BTreeMap::new();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut order = Vec::new();
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [range, permissions, offset, _, _, path] = fields[..] else { continue };
        if !order.contains(&path) {
            order.push(path);
        }
        if permissions.contains('x') && (path.starts_with('/') || path == "[vdso]") {
            let (start, end) = range.split_once('-').unwrap();
            let hex = |digits| u64::from_str_radix(digits, 16).unwrap();
            let segment = Segment { start: hex(start), end: hex(end), offset: hex(offset) };
            text.entry(path).or_default().push(segment);
        }
    }
    let modules = order.into_iter().filter_map(|path| Some((path, text.remove(path)?)));
    let modules = modules.map(|(path, text)| {
        let (mut bias, mut build_id) = (text[0].start - text[0].offset, Vec::new());
        if let Ok(data) = fs::read(path) {
            let file = object::File::parse(&*data).unwrap();
            build_id = file.build_id().unwrap().unwrap_or_default().to_vec();
            let (vaddr, offset) = file
                .segments()
                .map(|segment| (segment.address(), segment.file_range().0))
                .find(|&(_, offset)| offset / 4096 == text[0].offset / 4096)
                .unwrap();
            bias = text[0].start.wrapping_sub(vaddr - offset % 4096);
        } else {
            let start = usize::try_from(bias).unwrap() as *const u8;
            // SAFETY: the vdso's image, which stays for as long as the process.
            let data = unsafe { std::slice::from_raw_parts(start, (text[0].end - bias) as usize) };
            build_id.extend(object::File::parse(data).unwrap().build_id().unwrap().unwrap_or_default());
        }
        let path = path.to_owned();
        Arc::new(Module { path, build_id, bias, text, first_epoch: 0, last_epoch: u32::MAX })
    });
    Arc::new(ModuleMap { modules: modules.collect(), elsewhere: false })
}

#[test]
fn libraries_and_the_vdso_have_names() {
    let map = module_map();
    // libc may be a part of the program.
    let libc = map.modules.iter().position(|module| module.path.contains("libc.so")).unwrap_or(0);
    let address = libc::getpid as unsafe extern "C" fn() -> libc::pid_t as usize as u64;
    let frames = resolve::resolve(address, &map.modules[libc], false, Level::Lines);
    assert!(frames.last().unwrap().name().contains("getpid"), "{frames:?}");
    assert_eq!(frames.last().unwrap().system_name(), "");
    let vdso = map.modules.iter().find(|module| module.path == "[vdso]").unwrap();
    let names: Vec<_> = (vdso.text[0].start..vdso.text[0].end)
        .step_by(16)
        .flat_map(|address| resolve::resolve(address, vdso, false, Level::Lines).to_vec())
        .collect();
    assert!(names.iter().any(|frame| frame.name().contains("clock_gettime")), "{names:?}");
}

#[test]
fn a_file_that_is_another_by_now_gives_no_names() {
    let map = module_map();
    let address = outermost as fn() -> (Vec<u64>, [u32; 3]) as usize as u64;
    let mut module = Module::clone(&map.modules[0]);
    module.build_id = vec![1, 2, 3];
    assert!(Image::open(&module, true, false).is_none());
    module.build_id = map.modules[0].build_id.clone();
    module.path = "/nowhere".into();
    assert!(Image::open(&module, false, false).is_none());
    let image = Image::open(&module, true, false).expect("the running file is found without its path");
    assert!(image.symbol(address.wrapping_sub(module.bias)).is_some());
}

#[test]
fn damaged_files_are_no_danger() {
    let map = module_map();
    let whole = fs::read("/proc/self/exe").unwrap();
    let directory = std::env::temp_dir().join(format!("profiled-image-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("damaged");
    let address = outermost as fn() -> (Vec<u64>, [u32; 3]) as usize as u64;
    let mut module = Module::clone(&map.modules[0]);
    let lookup = address.wrapping_sub(module.bias);
    module.path = path.to_str().unwrap().into();
    let mut seed = 7_u64;
    for round in 0..12 {
        let mut bytes = whole.clone();
        if round < 4 {
            bytes.truncate(whole.len() * round / 4 + 3);
        } else {
            // The head stays, or nothing else would be read.
            for _ in 0..2000 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = 4096 + (seed >> 20) as usize % (bytes.len() - 4096 - 4096);
                bytes[at] = (seed >> 8) as u8;
            }
        }
        fs::write(&path, &bytes).unwrap();
        if let Some(mut image) = Image::open(&module, false, true) {
            for step in 0..20 {
                image.lines(lookup.wrapping_add(step * 1000));
            }
        }
    }
    fs::remove_dir_all(&directory).unwrap();
}
