//! Without `std`, the derive of `thiserror-no-std` gives `Display` and `From` only.

macro_rules! impl_error {
    ($($error:ty),+ $(,)?) => {
        $(impl core::error::Error for $error {})+
    };
}
