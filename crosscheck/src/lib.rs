//! Nothing here: the tests compare Hewn with independent implementations.
