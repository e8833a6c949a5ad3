//! Enums of named operations.

/// Defines the enum of operations with their names.
macro_rules! named {
    ($(#[$meta:meta])* $Op:ident { $($V:ident $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Op {
            $($V,)*
        }

        impl $Op {
            pub const ALL: &'static [$Op] = &[$($Op::$V,)*];

            /// Name of the primitive.
            pub const fn name(self) -> &'static str {
                match self {
                    $($Op::$V => $name,)*
                }
            }

            /// Inverse of `name`.
            pub fn parse(name: &str) -> Option<$Op> {
                $Op::ALL.iter().copied().find(|op| op.name() == name)
            }
        }
    };
}

pub(super) use named;
