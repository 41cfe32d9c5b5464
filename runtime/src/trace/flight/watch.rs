//! Who was slow: what is open on threads, and since when.
use super::super::event::{StringId, TaskId, ThreadId, What};
use super::super::tables::Map;

/// How long it is waited for the end of what is around something that was slow, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// A region or a function.
    Named(StringId),
    Poll(TaskId),
}

struct Open {
    of: Of,
    name: StringId,
    since: u64,
    /// The user's task that it is in.
    task: TaskId,
}

struct Task {
    name: StringId,
    since: u64,
    parent: TaskId,
}

/// Something that took long, and is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slow {
    pub(super) name: StringId,
    pub(super) since: u64,
    pub(super) took: u64,
    thread: ThreadId,
    /// The outermost task that it is in.
    task: TaskId,
}

/// A trigger that is due as soon as what is around something slow is over, too.
pub(super) struct Due {
    pub(super) trigger: usize,
    pub(super) slow: Slow,
    until: u64,
}

#[derive(Default)]
pub(super) struct Watch {
    threads: Map<ThreadId, Vec<Open>>,
    tasks: Map<TaskId, Task>,
    due: Vec<Due>,
}

impl Watch {
    /// Something happened. `name` is whose poll it is. Gives what is over with it.
    pub(super) fn event(&mut self, thread: ThreadId, what: &What, name: StringId, time: u64) -> Option<Slow> {
        match *what {
            What::RegionBegin { task, name, .. } => self.push(thread, Of::Named(name), name, task, time),
            What::ScopeBegin { name, .. } => self.push(thread, Of::Named(name), name, 0, time),
            What::PollBegin { task } => self.push(thread, Of::Poll(task), name, 0, time),
            What::RegionEnd { name, .. } | What::ScopeEnd { name } => {
                return self.pop(thread, Of::Named(name), time);
            }
            What::PollEnd { task, .. } => return self.pop(thread, Of::Poll(task), time),
            What::UserTaskBegin { task, parent, name, .. } => {
                self.tasks.insert(task, Task { name, since: time, parent });
            }
            What::UserTaskEnd { task, .. } => {
                let Task { name, since, parent } = self.tasks.remove(&task)?;
                let task = self.outermost(parent);
                return Some(Slow { name, since, took: time - since, thread, task });
            }
            What::ThreadEnd | What::Lost { .. } => _ = self.threads.remove(&thread),
            _ => {}
        }
        None
    }

    fn push(&mut self, thread: ThreadId, of: Of, name: StringId, task: TaskId, since: u64) {
        self.threads.entry(thread).or_default().push(Open { of, name, since, task });
    }

    /// It ends, and what is in it.
    fn pop(&mut self, thread: ThreadId, of: Of, time: u64) -> Option<Slow> {
        let open = self.threads.get_mut(&thread)?;
        let at = open.iter().rposition(|open| open.of == of)?;
        open.truncate(at + 1);
        let Open { name, since, task, .. } = open.pop()?;
        Some(Slow { name, since, took: time - since, thread, task: self.outermost(task) })
    }

    fn outermost(&self, mut task: TaskId) -> TaskId {
        // A task is younger than the one that it is in.
        while let Some(parent) = self.tasks.get(&task).map(|task| task.parent)
            && parent < task
            && self.tasks.contains_key(&parent)
        {
            task = parent;
        }
        task
    }

    /// Has a trigger fire once what is around this is over.
    pub(super) fn arm(&mut self, trigger: usize, slow: Slow, time: u64) {
        self.due.push(Due { trigger, slow, until: time + PATIENCE });
    }

    /// Whether this trigger is armed already, for something in this: then it is for this.
    pub(super) fn widen(&mut self, trigger: usize, slow: Slow) -> bool {
        let is_in = |due: &&mut Due| {
            due.trigger == trigger && due.slow.thread == slow.thread && due.slow.since >= slow.since
        };
        let Some(due) = self.due.iter_mut().find(is_in) else { return false };
        due.slow = slow;
        true
    }

    /// Whether any is armed.
    pub(super) fn is_armed(&self) -> bool {
        !self.due.is_empty()
    }

    /// Those to fire now. What ended at `going` is about to go.
    pub(super) fn take_due(&mut self, time: u64, going: Option<u64>) -> Vec<Due> {
        let is_due = |due: &Due| {
            let is_over = self.threads.get(&due.slow.thread).is_none_or(Vec::is_empty)
                && !self.tasks.contains_key(&due.slow.task);
            is_over || time >= due.until || going.is_some_and(|end| due.slow.since <= end)
        };
        let (now, later) = std::mem::take(&mut self.due).into_iter().partition(is_due);
        self.due = later;
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: StringId, task: TaskId) -> (What, What) {
        (What::RegionBegin { task, name, stack: 0 }, What::RegionEnd { task, name })
    }

    #[test]
    fn it_waits_for_what_is_around() {
        let mut watch = Watch::default();
        let ((outer, outer_ends), (inner, inner_ends)) = (region(1, 0), region(2, 0));
        assert_eq!(watch.event(7, &outer, 0, 100), None);
        assert_eq!(watch.event(7, &inner, 0, 110), None);
        let slow = watch.event(7, &inner_ends, 0, 150).unwrap();
        assert_eq!((slow.name, slow.since, slow.took), (2, 110, 40));
        watch.arm(0, slow, 150);
        assert!(watch.take_due(150, None).is_empty());
        let slow = watch.event(7, &outer_ends, 0, 160).unwrap();
        assert!(watch.widen(0, slow), "it is the same");
        let due = watch.take_due(160, None);
        assert_eq!((due.len(), due[0].slow.name, due[0].slow.took), (1, 1, 60));
        assert!(!watch.is_armed());
    }

    #[test]
    fn it_does_not_wait_for_ever() {
        let mut watch = Watch::default();
        let ((outer, _), (inner, inner_ends)) = (region(1, 0), region(2, 0));
        for until in [None, Some(120)] {
            watch.event(7, &outer, 0, 100);
            watch.event(7, &inner, 0, 110);
            let slow = watch.event(7, &inner_ends, 0, 150).unwrap();
            watch.arm(0, slow, 150);
            assert!(watch.take_due(151, Some(109)).is_empty(), "what goes is none of it");
            let time = if until.is_some() { 152 } else { 150 + PATIENCE };
            assert_eq!(watch.take_due(time, until).len(), 1);
        }
    }

    #[test]
    fn a_task_is_waited_for_over_threads() {
        let mut watch = Watch::default();
        watch.event(1, &What::UserTaskBegin { task: 5, parent: 0, name: 9, stack: 0 }, 0, 0);
        watch.event(1, &What::UserTaskBegin { task: 6, parent: 5, name: 8, stack: 0 }, 0, 10);
        let (begin, end) = region(1, 6);
        watch.event(2, &begin, 0, 20);
        let slow = watch.event(2, &end, 0, 90).unwrap();
        watch.arm(0, slow, 90);
        watch.event(1, &What::UserTaskEnd { task: 6, name: 8, stack: 0 }, 0, 95);
        assert!(watch.take_due(95, None).is_empty());
        assert_eq!(
            watch.event(1, &What::UserTaskEnd { task: 5, name: 9, stack: 0 }, 0, 99).unwrap().took,
            99
        );
        assert_eq!(watch.take_due(99, None).len(), 1);
    }
}
