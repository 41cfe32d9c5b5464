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

    /// Which layer it is, where it was put: spans of two subscribers may have one number.
    fn of(&self, span: &Id) -> Which {
        Which { layer: std::ptr::from_ref(self).addr(), span: span.into_u64() }
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
        if record::is_on() {
            with_here(|here| self.opened(here, attributes, id, &context));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if self.labels.is_empty() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        _ = with_here(|here| here.opened = None);
        let known = span.extensions().get::<Labels>().map(|labels| labels.0.copy());
        let mut chosen = Chosen { layer: self, set: known.unwrap_or(Set::empty()) };
        // Nobody's lock is held: values are formatted here.
        values.record(&mut chosen);
        if !chosen.set.is_empty() {
            span.extensions_mut().replace(Labels(chosen.set));
            if context.current_span().id() == Some(id) {
                with_here(|here| relabel(&mut here.entered, self.of(id), &span));
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if record::is_on() {
            let task = match event.parent() {
                Some(parent) => {
                    let of = |span| with_here(|here| task_of(&span, self.of(parent).layer, &here.entered));
                    context.span(parent).and_then(of).unwrap_or(0)
                }
                None if event.is_root() => 0,
                None => record::task(),
            };
            say(task, event);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if record::is_on() || !self.labels.is_empty() {
            with_here(|here| self.enter(here, id, &context));
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        with_here(|here| here.exit(self.of(id)));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if record::is_on()
            && !with_here(|here| here.closed(self.of(&id))).unwrap_or(false)
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

/// A span, by its number, and whose that is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Which {
    layer: usize,
    span: u64,
}

/// A span that is entered on this thread.
struct Entered {
    which: Which,
    name: &'static str,
    /// In which recording the region began, or 0: it has none.
    recording: u32,
    task: TaskId,
    /// The task that the thread was in before.
    around: TaskId,
    is_child: bool,
    labels: Option<Held>,
}

/// A span that was opened on this thread, and nothing was entered or exited since: what entering it needs, without asking
/// the registry, which takes as long as all the rest.
#[derive(Clone, Copy)]
struct Opened {
    which: Which,
    name: &'static str,
    recording: u32,
    task: TaskId,
    is_child: bool,
}

/// What a thread keeps.
struct Here {
    /// Spans of which something has to end, the innermost last.
    entered: Vec<Entered>,
    opened: Option<Opened>,
    /// What was exited last, if it has no task that ends when it is closed.
    exited_child: Option<Which>,
}

thread_local! {
    static HERE: RefCell<Here> =
        const { RefCell::new(Here { entered: Vec::new(), opened: None, exited_child: None }) };
}

/// `None` where a thread is about to be gone. Nothing of the program's runs in `f`.
#[inline]
fn with_here<R>(f: impl FnOnce(&mut Here) -> R) -> Option<R> {
    HERE.try_with(|here| here.try_borrow_mut().ok().map(|mut here| f(&mut here))).ok().flatten()
}

impl Layer {
    /// A span is opened while somebody records. The task of a root begins.
    fn opened<S: Subscriber + for<'a> LookupSpan<'a>>(
        &self,
        here: &mut Here,
        attributes: &Attributes<'_>,
        id: &Id,
        context: &Context<'_, S>,
    ) {
        let (which, recording) = (self.of(id), record::recording());
        (here.opened, here.exited_child) = (None, None);
        // What the thread is in is the parent, or below it what a filter hides.
        let parent = here.entered.last().filter(|_| attributes.is_contextual());
        let (task, is_child) = match parent {
            Some(last) if last.recording == recording && last.which.layer == which.layer => (last.task, true),
            _ => {
                let Some(span) = context.span(id) else { return };
                let is_child = span.parent().is_some();
                // That of a child begins when it is entered, and most are asked nothing more.
                if is_child {
                    return;
                }
                (task_of_root(&span), false)
            }
        };
        // Labels are of spans, and asked of those.
        if self.labels.is_empty() {
            let name = attributes.metadata().name();
            here.opened = Some(Opened { which, name, recording, task, is_child });
        }
    }

    fn enter<S: Subscriber + for<'a> LookupSpan<'a>>(
        &self,
        here: &mut Here,
        id: &Id,
        context: &Context<'_, S>,
    ) {
        let (which, recording) = (self.of(id), record::recording());
        here.exited_child = None;
        let opened =
            here.opened.take().filter(|opened| opened.which == which && opened.recording == recording);
        let mut labels = None;
        let (name, task, is_child) = match opened {
            Some(opened) => (opened.name, opened.task, opened.is_child),
            None => {
                let Some(span) = context.span(id) else { return };
                if !self.labels.is_empty() {
                    labels = labels_of(&span, which.layer, &here.entered);
                }
                match recording {
                    0 if labels.is_none() => return,
                    0 => (span.name(), 0, false),
                    _ => (span.name(), task_of(&span, which.layer, &here.entered), span.parent().is_some()),
                }
            }
        };
        let mut around = 0;
        if recording != 0 {
            around = record::set_task(task);
            record::region_begins(task, name);
        }
        here.entered.push(Entered { which, name, recording, task, around, is_child, labels });
    }
}

impl Here {
    /// Whether it is known to have no task that ends now.
    fn closed(&mut self, which: Which) -> bool {
        // Another span may have its number next.
        _ = self.opened.take_if(|opened| opened.which == which);
        self.exited_child.take() == Some(which)
    }

    #[inline]
    fn exit(&mut self, which: Which) {
        self.opened = None;
        let Some(at) = self.entered.iter().rposition(|entered| entered.which == which) else { return };
        let last = self.entered.remove(at);
        if last.recording == 0 {
            return;
        }
        self.exited_child = last.is_child.then_some(which);
        let recording = record::recording();
        let after = &mut self.entered[at..];
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
}

/// The task that a span belongs to, which is its root's.
fn task_of<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>, layer: usize, entered: &[Entered]) -> TaskId {
    let Some(mut above) = span.parent() else { return task_of_root(span) };
    // Mostly the parent is what was entered last.
    let recording = record::recording();
    let last = entered.last().filter(|last| last.recording == recording);
    loop {
        let which = Which { layer, span: above.id().into_u64() };
        if let Some(last) = last.filter(|last| last.which == which) {
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
fn labels_of<S: for<'a> LookupSpan<'a>>(
    span: &SpanRef<'_, S>,
    layer: usize,
    entered: &[Entered],
) -> Option<Held> {
    let mut set = None;
    gather(span, layer, entered, &mut set);
    set.map(|set| Held::new(&set))
}

/// From the root on, without what is in force on this thread already.
fn gather<S: for<'a> LookupSpan<'a>>(
    span: &SpanRef<'_, S>,
    layer: usize,
    entered: &[Entered],
    set: &mut Option<Set>,
) {
    if let Some(above) = span.parent() {
        let which = Which { layer, span: above.id().into_u64() };
        if !entered.iter().any(|entered| entered.labels.is_some() && entered.which == which) {
            gather(&above, layer, entered, set);
        }
    }
    if let Some(Labels(own)) = span.extensions().get::<Labels>() {
        set.get_or_insert(Set::empty()).insert_all(own);
    }
}

/// A span that is current has other labels from now on.
fn relabel<S: for<'a> LookupSpan<'a>>(entered: &mut Vec<Entered>, which: Which, span: &SpanRef<'_, S>) {
    let labels = labels_of(span, which.layer, entered);
    match entered.iter_mut().rfind(|entered| entered.which == which) {
        Some(entered) => entered.labels = labels,
        None => {
            let name = span.name();
            let is_child = span.parent().is_some();
            entered.push(Entered { which, name, recording: 0, task: 0, around: 0, is_child, labels });
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
