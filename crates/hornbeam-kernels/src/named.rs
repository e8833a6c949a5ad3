//! Enums whose values have names.

/// Defines an enum and the names of its values.
macro_rules! named {
    ($(#[$meta:meta])* $Op:ident { $($V:ident $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Op {
            $($V,)*
        }

        impl $Op {
            pub const ALL: [$Op; [$($name),*].len()] = [$($Op::$V,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $($Op::$V => $name,)*
                }
            }

            /// Inverse of `name`.
            pub fn parse(name: &str) -> Option<$Op> {
                $Op::ALL.into_iter().find(|op| op.name() == name)
            }
        }
    };
}

pub(crate) use named;
