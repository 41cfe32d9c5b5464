//! Who started a thread, by the names on the stack that did.
use std::collections::HashMap;

use super::{Frame, Level, Names, demangle};
use crate::record::pseudo;
use crate::snapshot::Snapshot;
use crate::store::{Labels, Stack};

impl Names<'_> {
    /// The innermost function of a stack that started a thread which is not how threads are started.
    pub(crate) fn creator(&self, stack: Stack) -> Option<Frame> {
        let frames = stack.addresses().iter().filter(|&&address| pseudo::name(address).is_none());
        frames.flat_map(|&address| self.at(address, stack.epoch()).to_vec()).find(|frame| {
            let name = frame.name();
            !demangle::is_plumbing(name) && !demangle::starts_threads(name)
        })
    }
}

impl Snapshot {
    /// Gives rows of threads whose creator is known the label that says so.
    pub(crate) fn name_creators(&mut self) {
        if self.rows.iter().all(|row| row.key.creator.is_none()) {
            return;
        }
        let mut rows = std::mem::take(&mut self.rows);
        let names = Names::new(self, Level::Lines);
        let mut known: HashMap<usize, Option<Frame>> = HashMap::new();
        for row in &mut rows {
            let Some(stack) = row.key.creator.take() else { continue };
            let frame = known.entry(stack.id()).or_insert_with(|| names.creator(stack));
            let Some(frame) = frame else { continue };
            // It comes first in the order of keys.
            let mut labels = vec![("created_by", frame.name())];
            for (key, value) in row.key.tags.iter() {
                labels.push((key, value));
            }
            row.key.tags = Labels::of(&labels);
        }
        self.rows = rows;
        self.settle();
    }
}
