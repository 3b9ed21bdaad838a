//! The program that the kernel runs before each system call: made from a table of calls and verdicts.
//!
//! ```text
//!   architecture ─► other: refused          number ─► halves of the table, again and again ─► verdict of that number
//!                                                     (8 comparisons for 400 numbers)         └► of some: its arguments
//! ```
//!
//! Verdicts that look at no argument cost nothing while the process runs: since Linux 5.11 the kernel works them out once, when
//! the program is installed, and keeps them in a bitmap.

use libc::sock_filter;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

// Where `struct seccomp_data` has what.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    /// It returns this error.
    Refuse(i32),
    /// It is allowed if all of this is true, and returns EPERM otherwise.
    If(Vec<Test>),
}

/// A question about an argument, which is counted from 0. The kernel takes most of them as 32 bits, so the upper half says
/// nothing, except where a pointer is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// The lower half is one of these.
    OneOf(u32, &'static [u32]),
    /// The lower half is this.
    Is(u32, u32),
    /// Of the bits of the mask, the lower half has these and no others.
    Masked { argument: u32, mask: u32, bits: u32 },
    /// The lower half lacks at least one of these bits.
    NotAll(u32, u32),
    /// A null pointer.
    IsNull(u32),
}

/// The program for these calls; any other one gets the verdict that `otherwise` gives to its number, which changes only at
/// `changes`.
pub(super) fn program(
    mut calls: Vec<(u32, Verdict)>,
    otherwise: impl Fn(u32) -> Verdict,
    changes: u32,
) -> Vec<sock_filter> {
    calls.sort_unstable_by_key(|(number, _)| *number);
    let mut ranges: Vec<(u32, Verdict)> = Vec::with_capacity(2 * calls.len() + 2);
    let mut next = 0;
    let gap = |ranges: &mut Vec<(u32, Verdict)>, from: u32, until: u32| {
        let starts = [from, changes].into_iter().filter(|start| (from..until).contains(start));
        ranges.extend(starts.map(|start| (start, otherwise(start))));
    };
    for (number, verdict) in calls {
        gap(&mut ranges, next, number);
        next = number + 1;
        ranges.push((number, verdict));
    }
    gap(&mut ranges, next, u32::MAX);
    ranges.dedup_by(|next, before| next.1 == before.1);
    let mut program = vec![load(ARCH), jump(JUMP_IF_EQUAL, ARCHITECTURE, 1, 0), refuse(libc::EPERM), load(NUMBER)];
    program.extend(search(&ranges));
    program
}

/// Finds the last range that begins at or before the number.
fn search(ranges: &[(u32, Verdict)]) -> Vec<sock_filter> {
    if let [(_, verdict)] = ranges {
        return judge(verdict);
    }
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let (below, above) = (search(lower), search(upper));
    let mut code = match u8::try_from(below.len()) {
        Ok(over) => vec![jump(JUMP_IF_AT_LEAST, upper[0].0, over, 0)],
        // A conditional jump reaches 255 instructions.
        Err(_) => vec![jump(JUMP_IF_AT_LEAST, upper[0].0, 0, 1), jump(JUMP, below.len() as u32, 0, 0)],
    };
    code.extend(below);
    code.extend(above);
    code
}

fn judge(verdict: &Verdict) -> Vec<sock_filter> {
    match verdict {
        Verdict::Allow => vec![allow()],
        Verdict::Refuse(error) => vec![refuse(*error)],
        Verdict::If(tests) => {
            // From the end, so that the way to the refusal is known.
            let mut code = vec![allow(), refuse(libc::EPERM)];
            for test in tests.iter().rev() {
                code = test.before(code);
            }
            code
        }
    }
}

impl Test {
    /// This test, which goes on with `code` if it is passed and to the last instruction of that if it is not.
    fn before(self, code: Vec<sock_filter>) -> Vec<sock_filter> {
        let refusal = (code.len() - 1) as u8;
        let mut test = match self {
            Test::Is(argument, value) => vec![load(lower(argument)), jump(JUMP_IF_EQUAL, value, 0, refusal)],
            Test::Masked { argument, mask, bits } => {
                vec![load(lower(argument)), jump(AND, mask, 0, 0), jump(JUMP_IF_EQUAL, bits, 0, refusal)]
            }
            Test::NotAll(argument, bits) => {
                vec![load(lower(argument)), jump(AND, bits, 0, 0), jump(JUMP_IF_EQUAL, bits, refusal, 0)]
            }
            Test::IsNull(argument) => vec![
                load(lower(argument)),
                jump(JUMP_IF_EQUAL, 0, 0, refusal + 2),
                load(lower(argument) + 4),
                jump(JUMP_IF_EQUAL, 0, 0, refusal),
            ],
            Test::OneOf(argument, values) => {
                let mut test = vec![load(lower(argument))];
                for (index, value) in values.iter().enumerate() {
                    let others = (values.len() - 1 - index) as u8;
                    test.push(jump(JUMP_IF_EQUAL, *value, others, if others == 0 { refusal } else { 0 }));
                }
                test
            }
        };
        test.extend(code);
        test
    }
}

/// Where the lower half of an argument is. Both architectures put it first.
fn lower(argument: u32) -> u32 {
    ARGUMENTS + 8 * argument
}

fn load(offset: u32) -> sock_filter {
    jump(LOAD, offset, 0, 0)
}

fn jump(code: u16, k: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter { code, jt: if_true, jf: if_false, k }
}

fn allow() -> sock_filter {
    jump(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0)
}

fn refuse(error: i32) -> sock_filter {
    jump(RETURN, libc::SECCOMP_RET_ERRNO | error.unsigned_abs(), 0, 0)
}

/// The machine that runs such programs, for tests.
#[cfg(test)]
pub(super) mod machine {
    use super::*;

    pub(crate) const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
    pub(crate) const FOREIGN: u32 = 0x4000_0003;

    pub(crate) fn refused(error: i32) -> u32 {
        libc::SECCOMP_RET_ERRNO | error.unsigned_abs()
    }

    /// The verdict on a call of our architecture.
    pub(crate) fn run(program: &[sock_filter], number: u32, arguments: [u64; 6]) -> u32 {
        run_as(program, ARCHITECTURE, number, arguments)
    }

    pub(crate) fn run_as(program: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let mut branch = |condition: bool| at += usize::from(if condition { jt } else { jf });
            match code {
                LOAD => {
                    accumulator = match k {
                        NUMBER => number,
                        ARCH => architecture,
                        _ if k >= ARGUMENTS && k % 4 == 0 => {
                            let whole = arguments[(k - ARGUMENTS) as usize / 8];
                            if k % 8 == 0 { whole as u32 } else { (whole >> 32) as u32 }
                        }
                        _ => panic!("a load of {k}"),
                    };
                }
                AND => accumulator &= k,
                JUMP => at += k as usize,
                JUMP_IF_EQUAL => branch(accumulator == k),
                JUMP_IF_AT_LEAST => branch(accumulator >= k),
                RETURN => return k,
                _ => panic!("instruction {code}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::machine::{ALLOWED, FOREIGN, refused, run, run_as};
    use super::*;

    fn otherwise(number: u32) -> Verdict {
        Verdict::Refuse(if number < 600 { libc::EPERM } else { libc::ENOSYS })
    }

    #[test]
    fn every_number_finds_its_verdict_also_over_long_jumps() {
        // Every third number allowed: more ranges than a conditional jump reaches.
        let calls: Vec<(u32, Verdict)> = (0..1000).step_by(3).map(|number| (number, Verdict::Allow)).collect();
        let program = program(calls, otherwise, 600);
        assert!(program.len() > 512 && program.len() < libc::BPF_MAXINSNS as usize);
        for number in 0..2000 {
            let expected = match number {
                _ if number % 3 == 0 && number < 1000 => ALLOWED,
                0..600 => refused(libc::EPERM),
                _ => refused(libc::ENOSYS),
            };
            assert_eq!(run(&program, number, [0; 6]), expected, "{number}");
        }
        assert_eq!(run_as(&program, FOREIGN, 3, [0; 6]), refused(libc::EPERM));
    }

    #[test]
    fn arguments_are_looked_at_one_after_the_other() {
        let tests = vec![
            Test::OneOf(0, &[3, 5, 7]),
            Test::IsNull(1),
            Test::Masked { argument: 2, mask: 0xf0, bits: 0x30 },
            Test::Is(3, 9),
            Test::NotAll(4, 5),
        ];
        let program = program(vec![(10, Verdict::If(tests))], otherwise, 600);
        let verdict = |arguments: [u64; 4]| {
            let [a, b, c, d] = arguments;
            run(&program, 10, [a, b, c, d, 6, 1])
        };
        assert_eq!(run(&program, 10, [3, 0, 0x30, 9, 7, 1]), refused(libc::EPERM));
        for first in [3, 5, 7] {
            assert_eq!(verdict([first, 0, 0x3f, 9]), ALLOWED);
        }
        // The upper half of what the kernel takes as 32 bits says nothing.
        assert_eq!(verdict([1 << 32 | 5, 0, 0x30, 1 << 40 | 9]), ALLOWED);
        let others: [[u64; 4]; 7] = [
            [4, 0, 0x30, 9],
            [0, 0, 0x30, 9],
            [3, 1, 0x30, 9],
            [3, 1 << 32, 0x30, 9],
            [3, 0, 0x70, 9],
            [3, 0, 0x10, 9],
            [3, 0, 0x30, 8],
        ];
        for arguments in others {
            assert_eq!(verdict(arguments), refused(libc::EPERM), "{arguments:?}");
        }
    }
}
