//! Stacks of tasks that go on with those who await them: where these wait, without how they came to say so.
use std::collections::HashMap;

use super::{Level, Names, demangle};
use crate::record::pseudo;
use crate::snapshot::Snapshot;
use crate::store::Stack;

impl Names<'_> {
    /// The addresses of who awaits and what that waits for, its own code the innermost.
    fn awaiting<'a>(&self, part: &'a [u64], epoch: u32) -> &'a [u64] {
        let is_noise = |address: u64| {
            let frames = self.at(address, epoch);
            let cut = |name: &str| demangle::is_plumbing(name) || demangle::keeps_wakers(name);
            !frames.is_empty() && frames.iter().all(|frame| cut(frame.name()))
        };
        let noise = part.iter().take_while(|&&address| is_noise(address)).count();
        &part[noise..]
    }

    fn joined(&self, stack: Stack) -> Stack {
        let mut parts = stack.addresses().split(|&address| address == pseudo::AWAITED_BY);
        let mut addresses = parts.next().unwrap_or_default().to_vec();
        parts.for_each(|part| addresses.extend(self.awaiting(part, stack.epoch())));
        Stack::intern(&addresses, stack.epoch())
    }
}

impl Snapshot {
    /// Makes one stack of each task's and of those that await it.
    pub(crate) fn join_tasks(&mut self) {
        let is_joint = |stack: Stack| stack.addresses().contains(&pseudo::AWAITED_BY);
        if !self.rows.iter().any(|row| is_joint(row.key.stack)) {
            return;
        }
        let mut rows = std::mem::take(&mut self.rows);
        let names = Names::new(self, Level::Lines);
        let mut known: HashMap<usize, Stack> = HashMap::new();
        for row in rows.iter_mut().filter(|row| is_joint(row.key.stack)) {
            let stack = row.key.stack;
            row.key.stack = *known.entry(stack.id()).or_insert_with(|| names.joined(stack));
        }
        self.rows = rows;
        self.settle();
    }
}
