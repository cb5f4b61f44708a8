//! Enums whose variants are words of the wire: the words follow from the enum, in one place.

/// Makes an enum, its words, and the ways between them.
#[macro_export]
macro_rules! words {
    ($($(#[$doc:meta])* $vis:vis $type:ident {
        $($(#[$variant_doc:meta])* $variant:ident $word:literal),+ $(,)?
    })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $type {
            $($(#[$variant_doc])* $variant),+
        }

        impl $type {
            /// Every one of them.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Their words, in the same order.
            $vis const NAMES: &'static [&'static str] = &[$($word),+];

            /// The word.
            $vis fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// The value that has this word.
            $vis fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    )+};
}
