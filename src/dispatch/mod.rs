//! Dispatch: claims what is due as far as the gate and the stack let it through, renders and
//! delivers it, and settles what became of it.
