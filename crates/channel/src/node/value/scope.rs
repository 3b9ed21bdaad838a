//! [`Scope`]: the labels and references of one value.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;

use super::{Label, Value};
use crate::node::{Error, MAX_NESTING, advanced};

/// Most values that may come into being by copying shared objects: few references can ask for very many copies.
const MAX_COPIES: usize = 1_000_000;

/// The whole value, in which references are looked up, and where in it we are.
pub(super) struct Scope<'a> {
    root: &'a Value,
    shared: OnceCell<HashMap<Label, &'a Value>>,
    /// The shared objects inside which we are: to meet one of them again is a cycle.
    open: RefCell<Vec<Label>>,
    depth: Cell<usize>,
    copying: Cell<usize>,
    copies: Cell<usize>,
}

/// One step inward, taken back when dropped.
pub(super) struct Step<'s, 'a> {
    scope: &'s Scope<'a>,
    open_before: usize,
    copied: bool,
}

impl Drop for Step<'_, '_> {
    fn drop(&mut self) {
        self.scope.open.borrow_mut().truncate(self.open_before);
        self.scope.depth.set(self.scope.depth.get() - 1);
        self.scope.copying.set(self.scope.copying.get() - usize::from(self.copied));
    }
}

impl<'a> Scope<'a> {
    pub(super) fn of(root: &'a Value) -> Result<Scope<'a>, Error> {
        Ok(Scope {
            root,
            shared: OnceCell::new(),
            open: RefCell::default(),
            depth: Cell::new(0),
            copying: Cell::new(0),
            copies: Cell::new(0),
        })
    }

    /// What `value` is when labels, references, boxes and wrappers of native objects are looked through.
    pub(super) fn enter<'s>(&'s self, mut value: &'a Value) -> Result<(&'a Value, Step<'s, 'a>), Error> {
        let mut step = Step { scope: self, open_before: self.open.borrow().len(), copied: false };
        self.depth.set(self.depth.get() + 1);
        // What stands in the innermost container is no further level.
        if self.depth.get() > MAX_NESTING + 1 {
            return Err(Error::TooDeep);
        }
        loop {
            match value {
                Value::Shared(label, inner) => {
                    self.open.borrow_mut().push(*label);
                    value = inner;
                }
                Value::Reference(label) => {
                    if self.open.borrow().contains(label) {
                        return Err(Error::Unexpected("the value contains itself".into()));
                    }
                    if !step.copied {
                        step.copied = true;
                        self.copying.set(self.copying.get() + 1);
                    }
                    let target = self.shared().get(label);
                    self.open.borrow_mut().push(*label);
                    value = target.ok_or_else(|| Error::Unexpected(format!("no object has the label {}", label.0)))?;
                }
                Value::Boxed(inner) | Value::Native(inner) => value = inner,
                _ => break,
            }
        }
        if self.copying.get() > 0 {
            self.copies.set(self.copies.get() + 1);
            if self.copies.get() > MAX_COPIES {
                return Err(Error::Unexpected(format!("copies of shared objects make more than {MAX_COPIES} values")));
            }
        }
        Ok((value, step))
    }

    /// The bytes of a part, by itself.
    pub(super) fn encode(&self, part: &'a Value) -> Result<Vec<u8>, Error> {
        match advanced::encode(part) {
            // It may refer to what is outside of it.
            Err(Error::Encode(_)) => advanced::encode_part(part, Some(self.shared())),
            result => result,
        }
    }

    /// The labelled objects.
    fn shared(&self) -> &HashMap<Label, &'a Value> {
        self.shared.get_or_init(|| labels(self.root))
    }
}

fn labels(root: &Value) -> HashMap<Label, &Value> {
    let mut labels = HashMap::new();
    let mut rest = vec![root];
    while let Some(value) = rest.pop() {
        if let Value::Shared(label, object) = value {
            labels.insert(*label, object.as_ref());
        }
        rest.extend(value.children());
    }
    labels
}
