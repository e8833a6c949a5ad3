//! Instruction set detection, and a macro that compiles a generic loop for every instruction set.
//!
//! [`multiversion!`](crate::multiversion) compiles one plain Rust body once per instruction set and returns the function
//! pointer for the active one; LLVM vectorises it. Bodies write fused multiply-adds explicitly through [`mul_add`],
//! because rustc never contracts `a * b + c`. AVX-512, AVX2 and NEON therefore give the same bits, and `Portable`
//! differs only where a fused multiply-add is split into two roundings.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::named::named;

named! {
    /// Instruction set that kernels are compiled for, the best first.
    Isa {
        // F, BW, DQ and VL, with AVX2, FMA and F16C.
        Avx512 "avx512",
        // With FMA and F16C.
        Avx2 "avx2",
        Neon "neon",
        // Baseline of the architecture (SSE2 on x86-64, SIMD128 in WebAssembly), without fused multiply-add.
        Portable "portable",
    }
}

impl Isa {
    /// Returns true if this machine and this build support the instruction set.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => PORTABLE,
            Isa::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => AVX2 && has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => AVX512 && has_avx512(),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }

    /// Supported instruction sets, best first.
    pub fn available() -> Vec<Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }
}

#[cfg(target_arch = "x86_64")]
include!("x86_features.rs");

/// True if kernels are compiled for AVX-512.
pub const AVX512: bool = cfg!(all(feature = "avx512", not(native_isa = "avx2")));

/// True if all kernels are compiled for AVX2. Otherwise only those are that have no copy for AVX-512.
pub const AVX2: bool = cfg!(not(native_isa = "avx512"));

/// True if all kernels are compiled for the baseline. Without them, the CPU must have AVX2 or NEON.
pub const PORTABLE: bool = cfg!(any(
    all(feature = "baseline", not(any(native_isa = "avx512", native_isa = "avx2", native_isa = "neon"))),
    not(any(target_arch = "x86_64", target_arch = "aarch64"))
));

/// Returns why no kernel of this build runs on this machine, if none does.
pub fn unsupported_machine() -> Option<&'static str> {
    const REASON: &str = if cfg!(feature = "native") {
        "it was compiled on another machine, for vector instructions that this CPU lacks. \
         Compile it here: `make clean`, then `make mnist`"
    } else {
        "it was compiled without the feature `baseline`, and this CPU lacks AVX2"
    };
    Isa::available().is_empty().then_some(REASON)
}

/// Elements or accumulators that a loop processes at once: four registers of `f32` under AVX-512, and two in WebAssembly,
/// where more of them are more code to download.
pub const LANES: usize = if cfg!(target_arch = "wasm32") { 8 } else { 64 };

thread_local! {
    static FORCED: Cell<Option<Isa>> = const { Cell::new(None) };
}

/// Instruction set of the kernels selected on this thread: the best supported one, or `HORNBEAM_ISA` if set.
///
/// Kernels select their function pointers on the calling thread, before they submit work to the pool.
///
/// # Panics
/// If the environment variable `HORNBEAM_ISA` names an unknown or unsupported instruction set.
pub fn isa() -> Isa {
    static DETECTED: OnceLock<Isa> = OnceLock::new();
    FORCED.get().unwrap_or_else(|| {
        *DETECTED.get_or_init(|| match std::env::var("HORNBEAM_ISA") {
            Ok(name) => {
                let isa = Isa::parse(&name)
                    .unwrap_or_else(|| panic!("HORNBEAM_ISA={name}: expected avx512, avx2, neon or portable"));
                assert!(
                    isa.is_available(),
                    "HORNBEAM_ISA={name}: not supported by this CPU; unset it or choose another"
                );
                isa
            }
            Err(_) => match Isa::available().first() {
                Some(isa) => *isa,
                None => panic!("{}", unsupported_machine().unwrap_or_default()),
            },
        })
    })
}

/// Runs `f` with [`isa`] returning `forced` on this thread. Tests use it to cover the lower instruction sets.
///
/// # Panics
/// If this machine does not support `forced`.
pub fn with_isa<R>(forced: Isa, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Isa>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    assert!(forced.is_available(), "{} is not supported by this CPU", forced.name());
    let _restore = Restore(FORCED.replace(Some(forced)));
    f()
}

/// Runs `body` with each instruction set of this machine. For tests.
pub fn on_each_isa(mut body: impl FnMut(Isa)) {
    for isa in Isa::available() {
        with_isa(isa, || body(isa));
    }
}

/// Instruction sets that a kernel is compiled for. On a machine with a wider one, the widest copy runs.
///
/// All copies give the same bits, except that `Portable` has no fused multiply-add. In WebAssembly there is one copy, which
/// is optimized for size unless it is one of `All`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    All,
    /// AVX2 or NEON, and the baseline: for kernels that gain little from wider registers.
    Avx2,
    /// The baseline alone, for kernels that do not vectorise or that nothing waits for.
    Portable,
}

impl Copies {
    /// Returns true if this build has a copy for the instruction set.
    pub const fn includes(self, isa: Isa) -> bool {
        match isa {
            Isa::Avx512 => AVX512 && matches!(self, Copies::All),
            Isa::Avx2 => !matches!(self, Copies::Portable) && (AVX2 || !self.includes(Isa::Avx512)),
            Isa::Neon => !matches!(self, Copies::Portable),
            Isa::Portable => PORTABLE || matches!(self, Copies::Portable),
        }
    }

    /// Returns true if WebAssembly has a copy that is optimized for size.
    pub const fn is_small(self) -> bool {
        !matches!(self, Copies::All)
    }
}

/// Chooses a table of kernels for the instruction set of the calling thread.
macro_rules! by_isa {
    ($avx512:expr, $avx2:expr, $neon:expr, $portable:expr $(,)?) => {
        match $crate::simd::isa() {
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Isa::Avx512 if $crate::simd::AVX512 => $avx512,
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Isa::Avx2 if $crate::simd::AVX2 => $avx2,
            #[cfg(target_arch = "aarch64")]
            $crate::simd::Isa::Neon => $neon,
            _ if $crate::simd::PORTABLE => $portable,
            isa => unreachable!("the build has no kernels for {}", isa.name()),
        }
    };
}
pub(crate) use by_isa;

/// Returns true on a CPU of AMD.
pub fn is_amd() -> bool {
    #[cfg(target_arch = "x86_64")]
    let vendor = {
        let leaf = std::arch::x86_64::__cpuid(0);
        [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes)
    };
    #[cfg(not(target_arch = "x86_64"))]
    let vendor = [[0u8; 4]; 3];
    vendor.as_flattened() == b"AuthenticAMD"
}

/// Instruction set as a type, known to generic bodies at compile time.
pub trait Target: Copy + 'static {
    const ISA: Isa;
    /// True if `mul_add` is one instruction.
    const FMA: bool;
    /// True if products of words are added in one instruction. No kernel of [`multiversion!`](crate::multiversion) has it.
    const VNNI: bool = false;
}

macro_rules! targets {
    ($($name:ident $fma:expr),*) => {$(
        #[derive(Clone, Copy)]
        pub struct $name;
        impl Target for $name {
            const ISA: Isa = Isa::$name;
            const FMA: bool = $fma;
        }
    )*};
}

targets!(Avx512 true, Avx2 true, Neon true, Portable false);

/// Computes `a * b + c`, fused if the target has the instruction (otherwise `f32::mul_add` is a slow library call).
#[inline(always)]
pub fn mul_add<S: Target>(a: f32, b: f32, c: f32) -> f32 {
    if S::FMA {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// [`mul_add`] for `f64`.
#[inline(always)]
pub fn mul_add64<S: Target>(a: f64, b: f64, c: f64) -> f64 {
    if S::FMA {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// Compiles one body for every instruction set.
///
/// ```
/// use hornbeam_kernels::{multiversion, simd::{mul_add, Target}};
/// multiversion! {
///     /// y += a * x
///     pub unsafe fn axpy[S](a: f32, x: &[f32], y: &mut [f32]) {
///         for (y, x) in y.iter_mut().zip(x) {
///             *y = mul_add::<S>(a, *x, *y);
///         }
///     }
/// }
/// let mut y = [1.0; 4];
/// // SAFETY: the kernel is compiled for this machine and has no other precondition.
/// unsafe { axpy()(2.0, &[1.0; 4], &mut y) };
/// assert_eq!(y, [3.0; 4]);
/// ```
///
/// The generated function `axpy` takes no arguments and returns the function pointer. Type parameters follow the target:
/// `[S, T: Element, O: BinaryOp]` (one bound each). A constant [`Copies`](crate::simd::Copies) after a semicolon,
/// `[S, T: Element; Copies::Avx2]`, limits the instruction sets. Written `axpy(isa)[..]`, the function takes the instruction set and its
/// body is never inlined, so that several kernels share one copy. Functions called by the body must be `#[inline(always)]`, or they
/// are compiled for the baseline instruction set.
#[macro_export]
macro_rules! multiversion {
    ($($(#[$meta:meta])* $vis:vis unsafe fn $name:ident $(($on:ident))? [$S:ident $(, $G:ident : $bound:path)* $(; $copies:expr)?]
        ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $crate::multiversion! {
            @one [$(#[$meta])* $vis] $name $(($on))? [$S $(, $G: $bound)*] [$($copies,)? $crate::simd::Copies::All]
            ($($arg: $ty),*) [$(-> $ret)?] $body
        }
    )*};
    // `name(isa)` takes the instruction set and is never inlined: one copy that other kernels call with their `S::ISA`.
    (@one [$($head:tt)*] $name:ident ($on:ident) [$S:ident $(, $G:ident : $bound:path)*] $copies:tt
        ($($arg:ident : $ty:ty),*) [$($ret:tt)*] $body:block) => {
        $crate::multiversion! {
            @on [shared] [$($head)*] $name [$S $(, $G: $bound)*] $copies ($($arg: $ty),*) [$($ret)*] $body
        }
    };
    (@one [$($head:tt)*] $name:ident [$S:ident $(, $G:ident : $bound:path)*] $copies:tt ($($arg:ident : $ty:ty),*)
        [$($ret:tt)*] $body:block) => {
        $($head)* fn $name<$($G: $bound),*>() -> unsafe fn($($ty),*) $($ret)* {
            $crate::multiversion! {
                @on [direct] [] on [$S $(, $G: $bound)*] $copies ($($arg: $ty),*) [$($ret)*] $body
            }
            on::<$($G),*>($crate::simd::isa())
        }
    };
    (@on [$linkage:ident] [$($head:tt)*] $on:ident [$S:ident $(, $G:ident : $bound:path)*] [$copies:expr $(, $default:expr)?]
        ($($arg:ident : $ty:ty),*) [$($ret:tt)*] $body:block) => {
        $($head)*
        fn $on<$($G: $bound),*>(isa: $crate::simd::Isa) -> unsafe fn($($ty),*) $($ret)* {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters)]
            unsafe fn body<$S: $crate::simd::Target $(, $G: $bound)*>($($arg: $ty),*) $($ret)* $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2")]
            unsafe fn avx512<$($G: $bound),*>($($arg: $ty),*) $($ret)* {
                // SAFETY: the caller's contract is passed on.
                unsafe { body::<$crate::simd::Avx512 $(, $G)*>($($arg),*) }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2")]
            unsafe fn avx2<$($G: $bound),*>($($arg: $ty),*) $($ret)* {
                // SAFETY: the caller's contract is passed on.
                unsafe { body::<$crate::simd::Avx2 $(, $G)*>($($arg),*) }
            }

            // NEON is part of every AArch64 CPU, so no feature needs to be enabled.
            #[cfg(target_arch = "aarch64")]
            unsafe fn neon<$($G: $bound),*>($($arg: $ty),*) $($ret)* {
                // SAFETY: the caller's contract is passed on.
                unsafe { body::<$crate::simd::Neon $(, $G)*>($($arg),*) }
            }

            // Also where generic kernels are instantiated, in crates that are optimized for size.
            #[cfg_attr(target_arch = "wasm32", optimize(speed))]
            unsafe fn portable<$($G: $bound),*>($($arg: $ty),*) $($ret)* {
                // SAFETY: the caller's contract is passed on.
                unsafe { body::<$crate::simd::Portable $(, $G)*>($($arg),*) }
            }

            #[cfg(target_arch = "wasm32")]
            #[optimize(size)]
            #[inline(never)]
            unsafe fn small<$($G: $bound),*>($($arg: $ty),*) $($ret)* {
                // SAFETY: the caller's contract is passed on.
                unsafe { body::<$crate::simd::Portable $(, $G)*>($($arg),*) }
            }

            // The compiler generates no code for a branch on a constant that is not taken, and so no copy of the kernel.
            match isa {
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Isa::Avx512 if const { $copies.includes($crate::simd::Isa::Avx512) } => {
                    $crate::multiversion!(@entry $linkage avx512 [$($G: $bound),*] [$($G),*] ($($arg: $ty),*) [$($ret)*])
                }
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Isa::Avx512 | $crate::simd::Isa::Avx2 if const { $copies.includes($crate::simd::Isa::Avx2) } => {
                    $crate::multiversion!(@entry $linkage avx2 [$($G: $bound),*] [$($G),*] ($($arg: $ty),*) [$($ret)*])
                }
                #[cfg(target_arch = "aarch64")]
                $crate::simd::Isa::Neon if const { $copies.includes($crate::simd::Isa::Neon) } => {
                    $crate::multiversion!(@entry $linkage neon [$($G: $bound),*] [$($G),*] ($($arg: $ty),*) [$($ret)*])
                }
                #[cfg(target_arch = "wasm32")]
                _ if const { $copies.is_small() } => {
                    $crate::multiversion!(@entry direct small [$($G: $bound),*] [$($G),*] ($($arg: $ty),*) [$($ret)*])
                }
                _ if const { $copies.includes($crate::simd::Isa::Portable) } => {
                    $crate::multiversion!(@entry $linkage portable [$($G: $bound),*] [$($G),*] ($($arg: $ty),*) [$($ret)*])
                }
                _ => unreachable!("the build has no kernels for {}", isa.name()),
            }
        }
    };
    (@entry direct $name:ident [$($bounds:tt)*] [$($G:ident),*] ($($arg:ident : $ty:ty),*) [$($ret:tt)*]) => {
        $name::<$($G),*>
    };
    // `#[inline(never)]` has no effect on a function with target features that is called through a pointer. A function
    // without them is not inlined, and cannot inline the other.
    (@entry shared $name:ident [$($bounds:tt)*] [$($G:ident),*] ($($arg:ident : $ty:ty),*) [$($ret:tt)*]) => {{
        #[inline(never)]
        unsafe fn entry<$($bounds)*>($($arg: $ty),*) $($ret)* {
            // SAFETY: the caller's contract is passed on.
            unsafe { $name::<$($G),*>($($arg),*) }
        }
        entry::<$($G),*>
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    multiversion! {
        unsafe fn active_isa[S]() -> Isa { S::ISA }
        unsafe fn squares[S, T: Squared](x: &[T], y: &mut [T]) {
            for (y, x) in y.iter_mut().zip(x) {
                *y = x.squared();
            }
        }
    }

    trait Squared {
        fn squared(&self) -> Self;
    }
    impl Squared for f32 {
        #[inline(always)]
        fn squared(&self) -> f32 {
            self * self
        }
    }

    #[test]
    fn the_forced_instruction_set_is_the_one_that_runs() {
        for forced in Isa::available() {
            with_isa(forced, || {
                // SAFETY: `with_isa` rejects unsupported instruction sets.
                assert_eq!(unsafe { active_isa()() }, forced);
                let mut y = [0.0; 37];
                // SAFETY: as above.
                unsafe { squares::<f32>()(&[3.0; 37], &mut y) };
                assert_eq!(y, [9.0; 37]);
            });
        }
        assert_eq!(isa(), Isa::available()[0]);
    }

    /// A build that lacks the copies for some machine does not get as far as this.
    #[test]
    fn each_instruction_set_has_a_copy_of_each_kernel() {
        assert_eq!(unsupported_machine(), None);
        for isa in Isa::available() {
            let narrower = if isa == Isa::Avx512 { &[Isa::Avx512, Isa::Avx2][..] } else { &[isa] };
            for copies in [Copies::All, Copies::Avx2, Copies::Portable] {
                let runs = |isa: &Isa| copies.includes(*isa);
                assert!(narrower.iter().any(runs) || copies.includes(Isa::Portable), "{isa:?} {copies:?}");
            }
        }
        // Without `native`, a build has the copies for every machine.
        if !cfg!(feature = "native") {
            assert!(Isa::ALL.into_iter().all(|isa| Copies::All.includes(isa)));
        }
    }

    #[test]
    fn names_round_trip() {
        for isa in Isa::ALL {
            assert_eq!(Isa::parse(isa.name()), Some(isa));
        }
    }
}
