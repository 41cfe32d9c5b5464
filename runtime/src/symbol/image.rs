#![expect(unsafe_code, reason = "debug info borrows from the file beside it")]
//! One file of code, opened: its symbol table and its debug info.
//!
//! Addresses are the file's own, as the linker gave them. Whatever is missing or odd in a file makes frames
//! fewer or poorer; it never fails a lookup and never panics.
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use addr2line::Context;
use gimli::{EndianSlice, RunTimeEndian};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::demangle::{demangle, is_mangled};
use super::resolve::Line;
use super::sources::{Sources, is_bare};
use crate::module::Module;
use crate::sys::file::Content;

type Bytes = EndianSlice<'static, RunTimeEndian>;

/// Compressed debug info is unpacked into memory of its own; more than this is left alone.
const MAX_UNPACKED: u64 = 64 << 20;
/// What is mapped costs little, but the index of it is about a tenth of its size.
const MAX_DEBUG: u64 = 640 << 20;
/// Origins and specifications that are followed from a function to its declaration.
const MAX_ORIGINS: usize = 8;

/// A function of the symbol table.
struct Symbol {
    address: u64,
    size: u64,
    name: &'static [u8],
}

enum Data {
    File(Content),
    /// The vdso, copied out of our own memory.
    Copy(Vec<u8>),
}

impl Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Data::File(content) => content,
            Data::Copy(bytes) => bytes,
        }
    }
}

/// A module's file. The fields stand in the order in which they must go: borrowers before owners.
pub(super) struct Image {
    context: Option<Context<Bytes>>,
    /// What the context works on.
    dwarf: Option<Arc<gimli::Dwarf<Bytes>>>,
    /// By address, one each.
    symbols: Vec<Symbol>,
    /// Units by their offset, for references from one to another; made when the first such is met.
    units: Option<Vec<(usize, gimli::UnitHeader<Bytes>)>>,
    abbreviations: HashMap<usize, Arc<gimli::Abbreviations>>,
    /// Made when the first function is met that needs it.
    sources: Option<Sources>,
    _unpacked: Vec<Vec<u8>>,
    _data: Data,
}

impl Image {
    /// Opens `module`'s file, if that is still the file that was loaded. `main`: it is the program itself.
    /// `lines`: with debug info.
    pub(super) fn open(module: &Module, main: bool, lines: bool) -> Option<Image> {
        if module.path == "[vdso]" {
            return Image::new(Data::Copy(vdso(module)?), false, module);
        }
        // The link leads to the very file that runs, even when another one has its name by now.
        if main
            && let Ok(content) = Content::open(Path::new("/proc/thread-self/exe"))
            && let Some(image) = Image::new(Data::File(content), lines, module)
        {
            return Some(image);
        }
        if module.build_id.is_empty() && is_replaced(module) {
            return None;
        }
        let content = Content::open(Path::new(&module.path)).ok()?;
        Image::new(Data::File(content), lines, module)
    }

    fn new(data: Data, lines: bool, module: &Module) -> Option<Image> {
        // SAFETY: the image owns `data` and gives out nothing that borrows from it; it drops last.
        let bytes = unsafe { forever(&data) };
        let file = object::File::parse(bytes).ok()?;
        if file.build_id().ok().flatten().unwrap_or_default() != module.build_id {
            return None;
        }
        let mut unpacked = Vec::new();
        let dwarf = if lines { dwarf(&file, &mut unpacked).map(Arc::new) } else { None };
        let context = dwarf.clone().and_then(|dwarf| Context::from_arc_dwarf(dwarf).ok());
        let symbols = symbols(&file);
        Some(Image {
            context,
            dwarf,
            symbols,
            units: None,
            abbreviations: HashMap::new(),
            sources: None,
            _unpacked: unpacked,
            _data: data,
        })
    }

    /// The function at `address` by the symbol table.
    pub(super) fn symbol(&self, address: u64) -> Option<Line> {
        let symbol = self.find(address)?;
        let raw = String::from_utf8_lossy(symbol.name);
        let (name, system_name) = demangle(&raw);
        Some(Line { name, system_name, entry: symbol.address, ..Line::default() })
    }

    /// The functions at `address` by the debug info, innermost first; by the symbol table where there is none.
    pub(super) fn lines(&mut self, address: u64) -> Vec<Line> {
        let symbol = self.symbol(address);
        let mut lines = Vec::new();
        let mut origins = Vec::new();
        if let Some(context) = &self.context
            && let Ok(mut frames) = context.find_frames(address).skip_all_loads()
        {
            while let Ok(Some(frame)) = frames.next() {
                let raw = frame.function.as_ref().and_then(|name| name.raw_name().ok());
                let (name, system_name) = raw.as_deref().map(demangle).unwrap_or_default();
                let location = frame.location.as_ref();
                lines.push(Line {
                    name,
                    system_name,
                    file: location.and_then(|location| location.file).map(str::to_owned),
                    line: location.and_then(|location| location.line).unwrap_or(0),
                    start_line: 0,
                    entry: symbol.as_ref().map_or(0, |symbol| symbol.entry),
                });
                origins.push(frame.dw_die_offset);
            }
        }
        for (line, origin) in lines.iter_mut().zip(origins) {
            line.start_line = origin.and_then(|origin| self.start_line(address, origin)).unwrap_or(0);
        }
        match (lines.last_mut(), symbol) {
            (None, symbol) => lines.extend(symbol),
            (Some(outer), Some(symbol)) => {
                // The linker knows the whole name where debug info has the last one only.
                if outer.system_name.is_empty() && (outer.name.is_empty() || is_mangled(&symbol.system_name))
                {
                    outer.name = symbol.name;
                    outer.system_name = symbol.system_name;
                }
                if outer.start_line == 0 {
                    outer.start_line = self.line_at(symbol.entry);
                }
            }
            (Some(_), None) => {}
        }
        for line in &mut lines {
            if line.system_name.is_empty()
                && is_bare(&line.name)
                && let Some(module) = line.file.as_deref().and_then(|file| self.sources()?.module(file))
            {
                line.name = format!("{module}::{}", line.name);
            }
        }
        lines.retain(|line| !line.name.is_empty());
        lines
    }

    /// Where the crates' sources are.
    fn sources(&mut self) -> Option<&Sources> {
        if self.sources.is_none() {
            let mut sources = Sources::default();
            let dwarf = self.dwarf.clone()?;
            for (_, header) in unit_headers(&dwarf) {
                if let Ok(unit) = dwarf.unit(header)
                    && let (Some(name), Some(directory)) = (unit.name, unit.comp_dir)
                {
                    sources.add(&directory.to_string_lossy(), &name.to_string_lossy());
                }
            }
            self.sources = Some(sources);
        }
        self.sources.as_ref()
    }

    fn find(&self, address: u64) -> Option<&Symbol> {
        let after = self.symbols.partition_point(|symbol| symbol.address <= address);
        let before = &self.symbols[..after];
        let inside = |symbol: &&Symbol| address - symbol.address < symbol.size;
        // A few steps back: a label may stand in the middle of a function.
        before.iter().rev().take(8).find(inside).or_else(|| before.last().filter(|symbol| symbol.size == 0))
    }

    /// The line of the instruction at `address`, 0 if unknown.
    fn line_at(&self, address: u64) -> u32 {
        let location =
            self.context.as_ref().and_then(|context| context.find_location(address).ok().flatten());
        location.and_then(|location| location.line).unwrap_or(0)
    }

    /// The line where the function whose entry stands at `origin`, in the unit of `address`, is declared.
    fn start_line(&mut self, address: u64, origin: gimli::UnitOffset) -> Option<u32> {
        let context = self.context.as_ref()?;
        let unit = context.find_dwarf_and_unit(address).skip_all_loads()?;
        let dwarf = unit.dwarf;
        let mut header = unit.header;
        let mut abbreviations = unit.abbreviations.clone();
        let mut offset = origin;
        for _ in 0..MAX_ORIGINS {
            let entry = header.entry(&abbreviations, offset).ok()?;
            if let Some(line) = entry.attr_value(gimli::DW_AT_decl_line).and_then(|value| value.udata_value())
            {
                return u32::try_from(line).ok();
            }
            let next = entry
                .attr_value(gimli::DW_AT_abstract_origin)
                .or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
            match next {
                gimli::AttributeValue::UnitRef(next) => offset = next,
                gimli::AttributeValue::DebugInfoRef(next) => {
                    let units = self.units.get_or_insert_with(|| unit_headers(dwarf));
                    let place = units.partition_point(|(start, _)| *start <= next.0).checked_sub(1)?;
                    let (start, found) = units.get(place)?;
                    header = *found;
                    abbreviations = match self.abbreviations.get(start) {
                        Some(known) => known.clone(),
                        None => {
                            let fresh = dwarf.abbreviations(&header).ok()?;
                            self.abbreviations.insert(*start, fresh.clone());
                            fresh
                        }
                    };
                    offset = gimli::UnitOffset(next.0.checked_sub(*start)?);
                }
                _ => return None,
            }
        }
        None
    }
}

/// Makes a borrow look endless.
///
/// # Safety
/// The bytes must stay where they are for as long as the result, or anything made of it, is used.
unsafe fn forever(bytes: &[u8]) -> &'static [u8] {
    // SAFETY: the caller keeps the bytes.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) }
}

fn unit_headers(dwarf: &gimli::Dwarf<Bytes>) -> Vec<(usize, gimli::UnitHeader<Bytes>)> {
    let mut headers = Vec::new();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        if let Some(offset) = header.debug_info_offset() {
            headers.push((offset.0, header));
        }
    }
    headers
}

/// The debug info of `file`, if there is any and it is of a bearable size. What had to be unpacked goes to
/// `unpacked`, which must outlive the result.
fn dwarf(file: &object::File<'static>, unpacked: &mut Vec<Vec<u8>>) -> Option<gimli::Dwarf<Bytes>> {
    let (mut packed, mut total) = (0_u64, 0_u64);
    for section in file.sections() {
        if section.name().is_ok_and(|name| name.starts_with(".debug") || name.starts_with(".zdebug")) {
            let size = section.compressed_data().map_or(0, |data| match data.format {
                object::CompressionFormat::None => 0,
                _ => data.uncompressed_size,
            });
            packed = packed.saturating_add(size);
            total = total.saturating_add(size.max(section.size()));
        }
    }
    if packed > MAX_UNPACKED || total > MAX_DEBUG || file.section_by_name(".debug_info").is_none() {
        return None;
    }
    let endian = if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    gimli::Dwarf::load(|id| -> Result<Bytes, gimli::Error> {
        let data = file.section_by_name(id.name()).and_then(|section| section.uncompressed_data().ok());
        let bytes: &'static [u8] = match data.unwrap_or_default() {
            Cow::Borrowed(bytes) => bytes,
            Cow::Owned(bytes) => {
                // SAFETY: the image keeps the buffer, which does not move when the vector around it grows.
                let view = unsafe { forever(&bytes) };
                unpacked.push(bytes);
                view
            }
        };
        Ok(EndianSlice::new(bytes, endian))
    })
    .ok()
}

/// The functions of `.symtab`, or of `.dynsym` in a stripped file.
fn symbols(file: &object::File<'static>) -> Vec<Symbol> {
    let mut found = Vec::new();
    let mut add = |symbol: object::Symbol<'static, '_>| {
        if symbol.kind() == SymbolKind::Text
            && symbol.is_definition()
            && let Ok(name) = symbol.name_bytes()
            && !name.is_empty()
        {
            let rank = (symbol.size() == 0, symbol.is_local(), symbol.is_weak());
            found.push((symbol.address(), rank, name, symbol.size()));
        }
    };
    file.symbols().for_each(&mut add);
    file.dynamic_symbols().for_each(&mut add);
    found.sort_unstable();
    found.dedup_by_key(|&mut (address, ..)| address);
    let mut symbols: Vec<Symbol> =
        found.into_iter().map(|(address, _, name, size)| Symbol { address, size, name }).collect();
    symbols.shrink_to_fit();
    symbols
}

/// The vdso's image is mapped whole, its text being all there is of it.
fn vdso(module: &Module) -> Option<Vec<u8>> {
    let segment = module.text.first()?;
    let start = segment.start.checked_sub(segment.offset)?;
    let size = usize::try_from(segment.end.checked_sub(start)?).ok().filter(|&size| size <= 1 << 20)?;
    let mut bytes = vec![0; size];
    let mut memory = fs::File::open("/proc/thread-self/mem").ok()?;
    memory.seek(SeekFrom::Start(start)).ok()?;
    memory.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether the kernel says that the file of `module` is no longer the one at its path.
fn is_replaced(module: &Module) -> bool {
    let Some(segment) = module.text.first() else { return true };
    let Ok(maps) = fs::read_to_string("/proc/thread-self/maps") else { return true };
    let line = maps.lines().find(|line| {
        let range = line.split_once(' ').map_or("", |(range, _)| range);
        range.split_once('-').is_some_and(|(start, end)| {
            let bounds = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16));
            matches!(bounds, (Ok(start), Ok(end)) if (start..end).contains(&segment.start))
        })
    });
    line.is_none_or(|line| line.ends_with(" (deleted)"))
}
