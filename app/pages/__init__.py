"""The pages for people: views, what each shows, and their templates and static files."""
