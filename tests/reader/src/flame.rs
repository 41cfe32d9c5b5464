//! Folded stacks and flame graphs, as the tools that draw them and the browsers that show them read them.
use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};

/// Stacks, root first, and what was counted there.
pub type Stacks = BTreeMap<Vec<String>, u64>;

/// Reads folded stacks by the rules of `flamegraph.pl` and `inferno`, and refuses what it would drop or take for something else.
///
/// # Errors
/// A sentence on the line that is wrong.
pub fn folded(text: &str) -> Result<Stacks, String> {
    let mut stacks = Stacks::new();
    for line in text.split_terminator('\n') {
        let wrong = |what: &str| format!("{what}: {line:?}");
        let (stack, value) = column(line).ok_or_else(|| wrong("ignored"))?;
        if column(stack).is_some() {
            return Err(wrong("taken for a difference of two"));
        }
        if line.starts_with("# ") || line != line.trim() {
            return Err(wrong("taken for a comment, or trimmed"));
        }
        let stack: Vec<String> = stack.split(';').map(str::to_owned).collect();
        if stack.iter().any(|name| name.is_empty() || name.contains(char::is_control)) {
            return Err(wrong("a frame without a name, or more than a line"));
        }
        if stacks.insert(stack, value).is_some() {
            return Err(wrong("there before"));
        }
    }
    Ok(stacks)
}

/// `/^(.*)\s+?(\d+(?:\.\d*)?)$/`.
fn column(line: &str) -> Option<(&str, u64)> {
    let (rest, value) = line.rsplit_once(|c: char| c.is_ascii_whitespace())?;
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return None;
    }
    Some((rest, whole.parse().ok()?))
}

/// The stacks with everything that was called from them: what a flame graph draws, a bar each.
pub fn cumulative(stacks: &Stacks) -> Stacks {
    let mut sums = Stacks::new();
    for (stack, value) in stacks {
        for depth in 1..=stack.len() {
            *sums.entry(stack[..depth].to_vec()).or_default() += value;
        }
    }
    sums
}

/// A flame graph, as it is drawn.
#[derive(Clone, Debug, Default)]
pub struct FlameGraph {
    /// What stands above it.
    pub title: String,
    /// What stands below the title.
    pub subtitle: String,
    /// All of it.
    pub total: u64,
    /// What is counted.
    pub unit: String,
    /// The path of each bar from the root to its own name, and its width.
    pub bars: Stacks,
}

/// A bar as it lies on the page.
struct Bar {
    name: String,
    unit: String,
    value: u64,
    left: u64,
    width: u64,
    top: u64,
}

impl FlameGraph {
    /// Reads an image. Which bar stands on which is taken from where they are drawn.
    ///
    /// # Errors
    /// A sentence on what is no XML, no flame graph, or drawn twice.
    pub fn read(svg: &str) -> Result<FlameGraph, String> {
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(svg, options).map_err(|error| error.to_string())?;
        let root = document.root_element();
        if !root.has_tag_name(("http://www.w3.org/2000/svg", "svg")) {
            return Err(format!("it is {:?}", root.tag_name()));
        }
        let by_id = |id| document.descendants().find(|node: &Node<'_, '_>| node.attribute("id") == Some(id));
        let text = |id| by_id(id).and_then(|node| node.text()).unwrap_or_default().to_owned();
        let mut graph =
            FlameGraph { title: text("title"), subtitle: text("subtitle"), ..FlameGraph::default() };
        let Some(frames) = by_id("frames") else { return Ok(graph) };
        graph.total = number(&frames, "total_samples")?;
        let groups = frames.children().filter(|node| node.has_tag_name("g"));
        let bars = groups.map(|group| bar(&group)).collect::<Result<Vec<_>, _>>()?;
        for bar in &bars {
            if bar.value != bar.width {
                return Err(format!("{} is {} wide and says {}", bar.name, bar.width, bar.value));
            }
            // Everything below it on the page, which is what it was called from.
            let mut path: Vec<&Bar> = bars
                .iter()
                .filter(|other| other.left <= bar.left && bar.left + bar.width <= other.left + other.width)
                .filter(|other| other.top > bar.top)
                .collect();
            path.sort_by_key(|other| std::cmp::Reverse(other.top));
            path.push(bar);
            if path[0].name != "all" {
                return Err(format!("{} stands on {}", bar.name, path[0].name));
            }
            graph.unit.clone_from(&bar.unit);
            let path: Vec<String> = path[1..].iter().map(|bar| bar.name.clone()).collect();
            if graph.bars.insert(path.clone(), bar.value).is_some() {
                return Err(format!("drawn twice: {path:?}"));
            }
        }
        graph.bars.remove(&Vec::new());
        Ok(graph)
    }

    /// Whether some bar has this in its name.
    pub fn shows(&self, name: &str) -> bool {
        self.bars.keys().any(|path| path.last().is_some_and(|last| last.contains(name)))
    }
}

fn number(node: &Node<'_, '_>, name: &str) -> Result<u64, String> {
    // `fg:x`, in samples, rather than `x`, in per cent.
    let named = node.attributes().filter(|attribute| attribute.name() == name);
    let found = named.max_by_key(|attribute| attribute.namespace().is_some());
    let text = found.map(|attribute| attribute.value()).ok_or_else(|| format!("no {name}: {node:?}"))?;
    text.parse().map_err(|_| format!("{name}: {text}"))
}

/// `NAME (1,234 unit, 5.67%)`, and a rectangle.
fn bar(group: &Node<'_, '_>) -> Result<Bar, String> {
    let child =
        |name| group.children().find(|node| node.has_tag_name(name)).ok_or(format!("no {name}: {group:?}"));
    let (title, rect) = (child("title")?, child("rect")?);
    let title = title.text().unwrap_or_default();
    let parts = title.rsplit_once(" (").and_then(|(name, rest)| Some((name, rest.split_once(' ')?)));
    let Some((name, (value, rest))) = parts else { return Err(format!("title {title:?}")) };
    Ok(Bar {
        name: name.to_owned(),
        unit: rest.split(',').next().unwrap_or_default().to_owned(),
        value: value.replace(',', "").parse().map_err(|_| format!("title {title:?}"))?,
        left: number(&rect, "x")?,
        width: number(&rect, "w")?,
        top: number(&rect, "y")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_tools_read_them() {
        let stacks = folded("main;a b;c 5\nmain 7.25\nx::<u8>;[lost] 1\n").unwrap();
        let stack = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(stacks[&stack(&["main", "a b", "c"])], 5);
        assert_eq!(stacks[&stack(&["main"])], 7);
        assert_eq!(cumulative(&stacks)[&stack(&["main"])], 12);
        assert_eq!(cumulative(&stacks)[&stack(&["main", "a b"])], 5);
        for (bad, why) in [
            ("main -5", "ignored"),
            ("main", "ignored"),
            ("5", "ignored"),
            ("\n", "ignored"),
            ("step 2 5", "difference"),
            ("# main 5", "comment"),
            ("a;;b 5", "without a name"),
            ("a;b\x07 5", "without a name"),
            ("a 1\na 2", "before"),
        ] {
            let error = folded(bad).unwrap_err();
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }

    #[test]
    fn bars_stand_on_one_another() {
        let bar = |name: &str, x: u64, w: u64, y: u64| {
            format!(
                "<g><title>{name} ({w} count, 1.00%)</title><rect x=\"1%\" y=\"{y}\" width=\"1%\" fg:x=\"{x}\" fg:w=\"{w}\"/></g>"
            )
        };
        let image = |bars: &str| {
            format!(
                "<?xml version=\"1.0\"?><!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"x\"><svg xmlns=\"http://www.w3.org/2000/svg\" \
                 xmlns:fg=\"g\"><text id=\"title\">T &lt;</text><svg id=\"frames\" total_samples=\"10\">{bars}</svg></svg>"
            )
        };
        let all = bar("all", 0, 10, 50) + &bar("a (b)", 0, 6, 40) + &bar("c", 6, 4, 40) + &bar("d", 1, 5, 30);
        let graph = FlameGraph::read(&image(&all)).unwrap();
        assert_eq!((graph.title.as_str(), graph.total, graph.unit.as_str()), ("T <", 10, "count"));
        let found: Vec<(String, u64)> = graph.bars.iter().map(|(path, w)| (path.join(">"), *w)).collect();
        let expected = [("a (b)", 6), ("a (b)>d", 5), ("c", 4)].map(|(path, w)| (path.to_owned(), w));
        assert_eq!(found, expected);
        assert!(graph.shows("d") && !graph.shows("e"));
        let twice = all.clone() + &bar("c", 6, 1, 40);
        assert!(FlameGraph::read(&image(&twice)).unwrap_err().contains("twice"));
        assert!(FlameGraph::read(&image("<g>")).is_err());
        assert!(FlameGraph::read("<html/>").is_err());
    }
}
