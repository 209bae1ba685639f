//! Tables built field by field, so that a test can write what `encode` never would.

use std::collections::BTreeMap;

use flatbuffers::{FlatBufferBuilder, WIPOffset};

#[derive(Clone, Copy)]
pub(crate) enum Value {
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    Text(&'static str),
    Bytes(&'static [u8]),
    /// The string of another field, written once.
    SharedWith(u16),
}

/// Fields by their id in the schema.
#[derive(Clone)]
pub(crate) struct Table(Vec<(u16, Value)>);

impl Table {
    /// A HELLO that is accepted.
    pub(crate) fn hello() -> Table {
        Table(vec![
            (0, Value::U16(1)),
            (1, Value::U16(1)),
            (3, Value::Text("alice")),
            (4, Value::Text("token")),
            (7, Value::Text("phone")),
            (8, Value::U64(1)),
            (9, Value::U64(1)),
            (12, Value::U32(64)),
            (13, Value::U32(65_536)),
        ])
    }

    /// A WELCOME that is accepted.
    pub(crate) fn welcome() -> Table {
        Table(vec![
            (0, Value::U16(1)),
            (2, Value::U16(1)),
            (6, Value::U32(60)),
            (7, Value::U32(65_536)),
            (8, Value::U16(64)),
        ])
    }

    /// An ACCOUNT that is accepted: a change of password.
    pub(crate) fn account() -> Table {
        Table(vec![(0, Value::U32(1)), (1, Value::U8(2)), (3, Value::Text("before")), (4, Value::Text("after"))])
    }

    pub(crate) fn empty() -> Table {
        Table(Vec::new())
    }

    pub(crate) fn with(mut self, id: u16, value: Value) -> Table {
        self = self.without(id);
        self.0.push((id, value));
        self
    }

    pub(crate) fn without(mut self, id: u16) -> Table {
        self.0.retain(|(other, _)| *other != id);
        self
    }

    /// Lets the fields `ids` point to the string of field `with`, which must be there already.
    pub(crate) fn shared(mut self, ids: &[u16], with: u16) -> Table {
        for id in ids {
            self = self.with(*id, Value::SharedWith(with));
        }
        self
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let root = self.write(&mut builder);
        builder.finish_minimal(root);
        builder.finished_data().to_vec()
    }

    pub(crate) fn size_prefixed_payload(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let root = self.write(&mut builder);
        builder.finish_size_prefixed(root, None);
        builder.finished_data().to_vec()
    }

    fn write(&self, builder: &mut FlatBufferBuilder<'_>) -> WIPOffset<flatbuffers::TableFinishedWIPOffset> {
        let mut offsets = BTreeMap::new();
        for (id, value) in &self.0 {
            let offset = match value {
                Value::Text(text) => builder.create_string(text).as_union_value(),
                Value::Bytes(bytes) => builder.create_vector(bytes).as_union_value(),
                Value::SharedWith(other) => offsets[other],
                _ => continue,
            };
            offsets.insert(*id, offset);
        }
        let start = builder.start_table();
        for (id, value) in &self.0 {
            let slot = 4 + 2 * id;
            match value {
                Value::U8(number) => builder.push_slot_always(slot, *number),
                Value::U16(number) => builder.push_slot_always(slot, *number),
                Value::U32(number) => builder.push_slot_always(slot, *number),
                Value::U64(number) => builder.push_slot_always(slot, *number),
                _ => builder.push_slot_always(slot, offsets[id]),
            }
        }
        builder.end_table(start)
    }
}
