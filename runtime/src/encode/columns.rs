//! Columns that are padded with tabs, as Go's `text/tabwriter` does it in profiles.
//!
//! A cell that another follows belongs to a column; a column reaches as far as such cells stand below one another
//! without a gap. Its width is that of its widest cell and one more, rounded up to a tab stop.
use std::io::{self, Write};

const STOP: usize = 8;

/// Writes `lines` of cells.
pub(super) fn write(lines: &[Vec<String>], w: &mut impl Write) -> io::Result<()> {
    block(lines, &mut Vec::new(), w)
}

/// Lines whose first columns have `widths`.
fn block(lines: &[Vec<String>], widths: &mut Vec<usize>, w: &mut impl Write) -> io::Result<()> {
    let column = widths.len();
    let reaches = |line: &Vec<String>| line.len() > column + 1;
    for group in lines.chunk_by(|a, b| reaches(a) == reaches(b)) {
        if group.first().is_some_and(reaches) {
            let widest = group.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
            widths.push((widest + 1).next_multiple_of(STOP));
            block(group, widths, w)?;
            widths.pop();
        } else {
            for line in group {
                plain(line, widths, w)?;
            }
        }
    }
    Ok(())
}

fn plain(line: &[String], widths: &[usize], w: &mut impl Write) -> io::Result<()> {
    for (index, cell) in line.iter().enumerate() {
        write!(w, "{cell}")?;
        if let Some(width) = widths.get(index).filter(|_| index + 1 < line.len()) {
            let tabs = (width - cell.chars().count()).div_ceil(STOP);
            write!(w, "{:\t<tabs$}", "")?;
        }
    }
    writeln!(w)
}
