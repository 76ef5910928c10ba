"""The live view of a board in a terminal: frames in, one pure function, widgets that only draw."""
