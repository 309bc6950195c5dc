//! How a probe sees the call that it sits on, whatever it is attached by.
//!
//! [`Traced`] is a call seen by fentry or fexit: all arguments, at both ends. [`Probed`] is a call seen by a
//! kprobe (arguments, no result) or by a kretprobe (result, no arguments).

use core::{arch::asm, ffi::c_void};

use aya_ebpf::{
    bindings::pt_regs,
    helpers::generated::bpf_get_func_arg,
    programs::{ProbeContext, RetProbeContext},
};

use crate::{field::read, layout::layout};

/// A call, at its entry or at its return.
pub trait Call {
    /// Whether a call that is seen this way shows its arguments at its return too.
    const ARGS_AT_RETURN: bool;
    /// The context of the program.
    fn context(&self) -> *mut c_void;
    /// Argument `n`, where it can be seen here. At most the sixth (`n == 5`): further ones are on the stack.
    fn arg(&self, n: usize) -> Option<u64>;
    /// Argument `n`, of an integer type.
    fn int_arg(&self, n: usize) -> Option<u64>;
    /// The word at an offset, in bytes, of what argument `n` points to: a structure.
    fn word_of_arg(&self, n: usize, offset: u32) -> Option<u64>;
    /// The result of a function with `args` parameters; only at its return.
    fn ret(&self, args: u32) -> Option<u64>;
    /// Where the call's stack frame lies: higher than that of any call nested in it, and the same at entry and
    /// return, to within [`FRAME_SLACK`]. The low half of the address, which no stack is large enough to wrap.
    fn frame(&self) -> u32;
}

/// How far the frames of one call at entry and return may lie apart, in bytes: a kretprobe sees the stack
/// pointer before or after the return address is popped, which differs by version (arch/x86/kernel/kprobes/core.c
/// to 5.17, rethook.c since).
pub const FRAME_SLACK: u32 = 16;

/// By fentry or fexit: `ctx` is the array of arguments that the trampoline saved in its own stack frame; behind
/// them, for fexit, is the result.
pub struct Traced(pub *mut c_void);

impl Call for Traced {
    const ARGS_AT_RETURN: bool = true;

    #[inline(always)]
    fn context(&self) -> *mut c_void {
        self.0
    }
    #[inline(always)]
    fn arg(&self, n: usize) -> Option<u64> {
        // By helper rather than directly: the verifier of 5.10 to 6.12 at least refuses to load an argument
        // that is a pointer to a pointer ("arg type PTR is not a struct").
        if layout!(func_arg) != 0 {
            let mut value = 0;
            // SAFETY: the context, and a word of our stack.
            let error = unsafe { bpf_get_func_arg(self.0, n as u32, &raw mut value) };
            return (error == 0).then_some(value);
        }
        read(self.0 as u64 + 8 * n as u64)
    }
    #[inline(always)]
    fn int_arg(&self, n: usize) -> Option<u64> {
        // SAFETY: a slot of the array of arguments; the verifier knows how many the function has.
        Some(unsafe { self.0.cast::<u64>().add(n).read_volatile() })
    }
    #[inline(always)]
    fn word_of_arg(&self, n: usize, offset: u32) -> Option<u64> {
        // SAFETY: the verifier knows what the argument points to, and has a load that fails give 0.
        unsafe {
            let argument = self.0.cast::<*const u64>().add(n).read_volatile();
            Some(argument.byte_add(offset as usize).read_volatile())
        }
    }
    #[inline(always)]
    fn ret(&self, args: u32) -> Option<u64> {
        // Each offset spelled out, as the verifier demands of the context; it knows `args`, and drops all but one. By
        // hand, or the compiler would make one load of them, at an offset in a register.
        macro_rules! at {
            ($offset:literal) => {{
                let value: u64;
                // SAFETY: behind the arguments.
                unsafe {
                    asm!(
                        concat!("{0} = *(u64 *)({1} + ", $offset, ")"),
                        out(reg) value, in(reg) self.0, options(nostack, readonly),
                    );
                }
                Some(value)
            }};
        }
        match args {
            1 => at!(8),
            2 => at!(16),
            3 => at!(24),
            4 => at!(32),
            5 => at!(40),
            6 => at!(48),
            _ => read(self.0 as u64 + 8 * u64::from(args)),
        }
    }
    #[inline(always)]
    fn frame(&self) -> u32 {
        let low: u64;
        // The verifier allows no arithmetic on the context, but takes a 32-bit copy of it for a plain number.
        // SAFETY: one move between registers.
        unsafe {
            asm!("w0 = w1", in("r1") self.0 as u64, out("r0") low, options(pure, nomem, nostack));
        }
        low as u32
    }
}

/// By kprobe (`RETURN` is false) or kretprobe (true): `ctx` is the registers.
pub struct Probed<const RETURN: bool>(pub *mut c_void);

impl<const RETURN: bool> Call for Probed<RETURN> {
    const ARGS_AT_RETURN: bool = false;

    #[inline(always)]
    fn context(&self) -> *mut c_void {
        self.0
    }
    #[inline(always)]
    fn arg(&self, n: usize) -> Option<u64> {
        if RETURN {
            return None;
        }
        ProbeContext::new(self.0).arg(n)
    }
    #[inline(always)]
    fn int_arg(&self, n: usize) -> Option<u64> {
        self.arg(n)
    }
    #[inline(always)]
    fn word_of_arg(&self, n: usize, offset: u32) -> Option<u64> {
        read(self.arg(n)? + u64::from(offset))
    }
    #[inline(always)]
    fn ret(&self, _args: u32) -> Option<u64> {
        RETURN.then(|| RetProbeContext::new(self.0).ret())
    }
    #[inline(always)]
    fn frame(&self) -> u32 {
        let regs = self.0.cast::<pt_regs>();
        // SAFETY: the context of a kprobe is the registers, which it may read.
        #[cfg(bpf_target_arch = "x86_64")]
        unsafe {
            (*regs).rsp as u32
        }
        // SAFETY: as above.
        #[cfg(bpf_target_arch = "aarch64")]
        unsafe {
            (*regs.cast::<aya_ebpf::bindings::user_pt_regs>()).sp as u32
        }
    }
}

/// Makes the programs of a point: `fentry_NAME` and `kprobe_NAME` around the body of its entry, `fexit_NAME`
/// and `kretprobe_NAME` around that of its return. A body takes `&impl Call` and the number of the point.
macro_rules! point {
    ($name:ident, $point:ident, enter: $enter:path $(, exit: $exit:path)?) => {
        $crate::call::program!("fentry", $name, $point, $enter, $crate::call::Traced);
        $crate::call::program!("kprobe", $name, $point, $enter, $crate::call::Probed::<false>);
        $(
            $crate::call::program!("fexit", $name, $point, $exit, $crate::call::Traced);
            $crate::call::program!("kretprobe", $name, $point, $exit, $crate::call::Probed::<true>);
        )?
    };
}
pub(crate) use point;

macro_rules! program {
    ($how:literal, $name:ident, $point:ident, $body:path, $call:expr) => {
        const _: () = {
            #[unsafe(export_name = concat!($how, "_", stringify!($name)))]
            #[unsafe(link_section = $how)]
            extern "C" fn program(ctx: *mut core::ffi::c_void) -> i32 {
                $body(&$call(ctx), daxscope_common::point::$point);
                0
            }
        };
    };
}
pub(crate) use program;
