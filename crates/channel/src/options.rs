//! [`Options`] of one end of a channel.

use std::time::Duration;

/// What one end of a channel allows, and how it waits. The two ends need not agree.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) largest_message: usize,
    pub(crate) descriptors: DescriptorPolicy,
    pub(crate) send_deadline: Duration,
    pub(crate) spin: Duration,
}

/// What an end does with descriptors that come with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DescriptorPolicy {
    /// Close them and report [`Error::DescriptorsRefused`](crate::Error::DescriptorsRefused). The default: whoever
    /// expects no descriptors should not be made to hold any.
    #[default]
    Refuse,
    /// Hand them to the program, close-on-exec.
    Accept,
}

impl Default for Options {
    /// Messages of at most 64 MiB, no descriptors, 30 s for a peer that does not read, 20 µs of spinning.
    fn default() -> Options {
        Options {
            largest_message: 64 << 20,
            descriptors: DescriptorPolicy::default(),
            send_deadline: Duration::from_secs(30),
            spin: Duration::from_micros(20),
        }
    }
}

impl Options {
    /// Most bytes of one message, value and payload together, in both directions (default 64 MiB, at most 4 GiB − 1).
    /// A peer that announces more gets no memory for it: the channel ends with an error.
    pub fn largest_message(mut self, bytes: usize) -> Options {
        self.largest_message = bytes.min(u32::MAX as usize);
        self
    }

    /// What to do with descriptors that come with a message (default: refuse).
    pub fn descriptors(mut self, policy: DescriptorPolicy) -> Options {
        self.descriptors = policy;
        self
    }

    /// How long a send waits for a peer that does not read, before it fails with
    /// [`Error::Stalled`](crate::Error::Stalled) (default 30 s).
    pub fn send_deadline(mut self, deadline: Duration) -> Options {
        self.send_deadline = deadline;
        self
    }

    /// Longest time to look for an answer before sleeping (default 20 µs, zero for never).
    ///
    /// To wake a sleeper on another core costs some 30 µs on a virtual machine, so an end that expects an answer at once
    /// looks for it a while first. It adapts: where looking does not help (both ends on one core, or a peer that takes
    /// its time) it sleeps at once and tries again only now and then; under a CPU quota it never looks.
    pub fn spin(mut self, longest: Duration) -> Options {
        self.spin = longest;
        self
    }
}
