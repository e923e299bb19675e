//! Every sentence that a user reads in a pull request.
