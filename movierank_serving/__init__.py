"""The online half: answers `/rank` from the version that carries the alias `production`."""
