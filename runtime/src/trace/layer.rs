//! The layer for `tracing`, which runs on the program's threads, within its spans' enters and exits.
//!
//! Of a span the registry gives the name and the parent. Its `Extensions` have what is ours: the task of a root, while
//! somebody records, and the fields that are labels. What has to end on a thread is in a list of that thread's, since spans are
//! not always exited in the order in which they were entered, nor in the recording. No lock is held and nothing of ours is borrowed
//! while values are formatted: their code may well open spans itself.
use std::cell::RefCell;
use std::fmt::{self, Debug, Write as _};
use std::panic::{self, AssertUnwindSafe};

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::event::TaskId;
use super::record;
use super::text::Text;
use crate::label::{Held, Set};

/// A layer for `tracing-subscriber`'s registry. Without labels.
pub fn layer() -> Layer {
    Layer::default()
}

/// Spans and events of [`tracing`](https://docs.rs/tracing) as regions, tasks and messages of a [trace](crate::trace), and as
/// labels: a program that is annotated already has its timeline by one line.
///
/// ```toml
/// profiled = { version = "0.1", features = ["tracing"] }
/// ```
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
/// use tracing_subscriber::util::SubscriberInitExt as _;
///
/// tracing_subscriber::registry()
///     .with(profiled::tracing::layer().labels(["request_id"])) // beside whatever other layers there are
///     .init();
///
/// #[tracing::instrument]
/// fn checkout(request_id: u64) {
///     tracing::info!(items = 3, "paid");
/// }
///
/// let session = profiled::trace::start(std::io::sink(), profiled::trace::Format::Go)?;
/// checkout(7);
/// # let recorded =
/// session.stop()?;
/// # assert_eq!(recorded.events, if profiled::lookup("heap").is_some() { 7 } else { 0 });
/// # Ok::<(), profiled::Error>(())
/// ```
///
/// | of `tracing` | in a trace |
/// |---|---|
/// | a span is entered, until it is exited | a region of its name, on the thread, and in the future that is polled there |
/// | a span without a parent, from its begin until it is closed | a task of its name, within the [task](crate::trace::task) that the thread is in |
/// | a span with a parent | its regions belong to the task of its root, on whatever thread |
/// | an event | a message: the category is the target, and the text has the level, the message and the fields |
/// | fields that [`labels`](Layer::labels) names | labels of all profiles while the span is entered |
///
/// Regions are nested. Where a span is exited while one that was entered after it goes on, the region of that one ends, too,
/// and goes on as another one. A span that was opened before the recording began has regions from its next enter on, and
/// a task if it is a root; one that was entered before is seen when it is entered again. Links between spans
/// (`follows_from`) are not in it.
///
/// Which spans and events that are is what filters say, as for any layer: `layer().with_filter(LevelFilter::INFO)`.
///
/// While nobody records, a span or an event costs a look at a word, besides what `tracing` and its registry take;
/// nothing is formatted, and nothing is allocated. Fields that are named for labels are the exception, since they are there
/// for all profiles: they are formatted when the span is opened, and each enter of that span allocates half a kilobyte. Of an
/// event whose fields panic when they are formatted the trace has that they did, and the program goes on.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    labels: Vec<Box<str>>,
}

impl Layer {
    /// Makes labels of the fields with these names: while a span that has one is entered, all samples bear it, in traces and
    /// in every profile, and so they do in spans below it, on whatever thread. None by default.
    ///
    /// A field has its value when the span is opened, or gets it by `record`; then it is in force where the
    /// span is current, and elsewhere when it is entered next. Bounds are those of [`labels::with`](crate::labels::with).
    pub fn labels<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Layer {
        self.labels.extend(names.into_iter().map(|name| name.into().into_boxed_str()));
        self
    }

    fn takes(&self, field: &Field) -> bool {
        self.labels.iter().any(|name| **name == *field.name())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Layer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !self.labels.is_empty() && attributes.metadata().fields().iter().any(|field| self.takes(&field)) {
            let mut chosen = Chosen { layer: self, set: Set::empty() };
            attributes.record(&mut chosen);
            if let (Some(span), false) = (context.span(id), chosen.set.is_empty()) {
                span.extensions_mut().replace(Labels(chosen.set));
            }
        }
        if record::is_on()
            && let Some(span) = context.span(id)
            && span.parent().is_none()
        {
            task_of_root(&span);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if self.labels.is_empty() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let known = span.extensions().get::<Labels>().map(|labels| labels.0.copy());
        let mut chosen = Chosen { layer: self, set: known.unwrap_or(Set::empty()) };
        // Nobody's lock is held: values are formatted here.
        values.record(&mut chosen);
        if !chosen.set.is_empty() {
            span.extensions_mut().replace(Labels(chosen.set));
            if context.current_span().id() == Some(id) {
                with_entered(|entered| relabel(entered, &span));
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if record::is_on() {
            let task = match event.parent() {
                Some(parent) => {
                    let of = |span| with_entered(|entered| task_of(&span, entered));
                    context.span(parent).and_then(of).unwrap_or(0)
                }
                None if event.is_root() => 0,
                None => record::task(),
            };
            say(task, event);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if (record::is_on() || !self.labels.is_empty())
            && let Some(span) = context.span(id)
        {
            with_entered(|entered| enter(entered, &span, !self.labels.is_empty()));
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        with_entered(|entered| exit(entered, id.into_u64()));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if record::is_on()
            && let Some(span) = context.span(&id)
        {
            let has_task = span.extensions().get::<Life>().is_some();
            if has_task && let Some(life) = span.extensions_mut().remove::<Life>() {
                record::user_task_ends(life.task, span.name(), None);
            }
        }
    }
}

/// What a root span has while somebody records: the task that it is.
#[derive(Clone, Copy)]
struct Life {
    task: TaskId,
    around: TaskId,
    /// In which recording that was told last.
    recording: u32,
}

/// What a span has whose fields are labels: its own, and no others'.
struct Labels(Set);

/// A span that is entered on this thread.
struct Entered {
    span: u64,
    name: &'static str,
    /// In which recording the region began, or 0: it has none.
    recording: u32,
    task: TaskId,
    /// The task that the thread was in before.
    around: TaskId,
    labels: Option<Held>,
}

thread_local! {
    /// Those of which something has to end, the innermost last.
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// `None` where a thread is about to be gone. Nothing of the program's runs in `f`.
#[inline]
fn with_entered<R>(f: impl FnOnce(&mut Vec<Entered>) -> R) -> Option<R> {
    ENTERED
        .try_with(|entered| entered.try_borrow_mut().ok().map(|mut entered| f(&mut entered)))
        .ok()
        .flatten()
}

fn enter<S: for<'a> LookupSpan<'a>>(entered: &mut Vec<Entered>, span: &SpanRef<'_, S>, labels: bool) {
    let recording = record::recording();
    let labels = if labels { labels_of(span, entered) } else { None };
    if recording == 0 && labels.is_none() {
        return;
    }
    let (mut task, mut around) = (0, 0);
    if recording != 0 {
        task = task_of(span, entered);
        around = record::set_task(task);
        record::region_begins(task, span.name());
    }
    entered.push(Entered { span: span.id().into_u64(), name: span.name(), recording, task, around, labels });
}

#[inline]
fn exit(entered: &mut Vec<Entered>, span: u64) {
    let Some(at) = entered.iter().rposition(|entered| entered.span == span) else { return };
    let last = entered.remove(at);
    if last.recording == 0 {
        return;
    }
    let recording = record::recording();
    let after = &mut entered[at..];
    match after.iter_mut().find(|entered| entered.recording != 0) {
        None => _ = record::set_task(last.around),
        Some(next) => next.around = last.around,
    }
    if last.recording == recording {
        // What was entered after it goes on: regions are nested, so each ends, and begins anew.
        let going_on = || after.iter().filter(|entered| entered.recording == recording);
        going_on().for_each(|_| record::region_ends());
        record::region_ends();
        going_on().for_each(|entered| record::region_begins(entered.task, entered.name));
    }
}

/// The task that a span belongs to, which is its root's.
fn task_of<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>, entered: &[Entered]) -> TaskId {
    let Some(mut above) = span.parent() else { return task_of_root(span) };
    // Mostly the parent is what was entered last.
    let recording = record::recording();
    let last = entered.last().filter(|last| last.recording == recording);
    loop {
        if let Some(last) = last.filter(|last| last.span == above.id().into_u64()) {
            return last.task;
        }
        match above.parent() {
            Some(next) => above = next,
            None => return task_of_root(&above),
        }
    }
}

/// Its task, which begins now unless it has begun.
fn task_of_root<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>) -> TaskId {
    let recording = record::recording();
    let known =
        span.extensions().get::<Life>().filter(|life| life.recording == recording).map(|life| life.task);
    known.unwrap_or_else(|| {
        let mut extensions = span.extensions_mut();
        // Another thread may have been faster, and a task that lasts keeps its number.
        let known = extensions.get_mut::<Life>().map(|life| *life);
        let begun = || Life { task: record::new_task(), around: record::task(), recording: 0 };
        let life = known.unwrap_or_else(begun);
        if life.recording != recording {
            extensions.replace(Life { recording, ..life });
            record::user_task_begins(life.task, life.around, span.name(), None);
        }
        life.task
    })
}

/// The labels of a span and of those above it, put in force. `None`: there are none.
fn labels_of<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>, entered: &[Entered]) -> Option<Held> {
    let mut set = None;
    gather(span, entered, &mut set);
    set.map(|set| Held::new(&set))
}

/// From the root on, without what is in force on this thread already.
fn gather<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>, entered: &[Entered], set: &mut Option<Set>) {
    if let Some(above) = span.parent() {
        let is_in_force =
            |entered: &Entered| entered.labels.is_some() && entered.span == above.id().into_u64();
        if !entered.iter().any(is_in_force) {
            gather(&above, entered, set);
        }
    }
    if let Some(Labels(own)) = span.extensions().get::<Labels>() {
        set.get_or_insert(Set::empty()).insert_all(own);
    }
}

/// A span that is current has other labels from now on.
fn relabel<S: for<'a> LookupSpan<'a>>(entered: &mut Vec<Entered>, span: &SpanRef<'_, S>) {
    let id = span.id().into_u64();
    let labels = labels_of(span, entered);
    match entered.iter_mut().rfind(|entered| entered.span == id) {
        Some(entered) => entered.labels = labels,
        None => {
            entered.push(Entered { span: id, name: span.name(), recording: 0, task: 0, around: 0, labels });
        }
    }
}

/// Runs code of the program's that formats a value. `None` if it panicked: that somebody looks on must not end what would go
/// on.
fn caught<R>(f: impl FnOnce() -> R) -> Option<R> {
    panic::catch_unwind(AssertUnwindSafe(f)).ok()
}

const PANICKED: &str = "[panicked]";

/// Fields that become labels.
struct Chosen<'a> {
    layer: &'a Layer,
    set: Set,
}

impl Visit for Chosen<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.layer.takes(field) {
            let inserted = caught(|| self.set.insert(field.name(), &format_args!("{value:?}")));
            inserted.unwrap_or_else(|| self.set.insert(field.name(), PANICKED));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.layer.takes(field) {
            self.set.insert(field.name(), value);
        }
    }
}

#[inline(never)]
fn say(task: TaskId, event: &Event<'_>) {
    let metadata = event.metadata();
    let mut message = Message(Text::new());
    _ = message.0.write_str(metadata.level().as_str());
    event.record(&mut message);
    record::log(task, metadata.target(), message.0.as_str());
}

/// A message that is put together. One that is full takes no more, and is shown as cut.
struct Message(Text);

impl Message {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        _ = match field.name() {
            "message" => self.0.write_str(" "),
            // Where in the source a record of the `log` crate is from.
            "log.module_path" | "log.file" | "log.line" => return,
            name => write!(self.0, " {name}="),
        };
        if caught(|| self.0.write_fmt(value)).is_none() {
            _ = self.0.write_str(PANICKED);
        }
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.field(field, format_args!("{value}")),
            _ => self.field(field, format_args!("{value:?}")),
        }
    }
}
