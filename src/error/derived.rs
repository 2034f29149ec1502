//! With `std`, the derive of `thiserror-no-std` implements `core::error::Error` itself.

macro_rules! impl_error {
    ($($error:ty),+ $(,)?) => {
        // Holds the promise in every feature set: a type that is not an error does not compile.
        $(const _: fn(&$error) -> &dyn core::error::Error = |error| error;)+
    };
}
