// Compose reads a compose file as `docker compose config` does, by the library that it does it with: interpolation, the
// specification's schema, merging, consistency of what services name. It prints the project as JSON.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

var version = "unset"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintf(os.Stderr, "compose-go %s: compose FILE [PROFILE...]\n", version)
		os.Exit(2)
	}
	options, err := cli.NewProjectOptions(os.Args[1:2], cli.WithName("abdrift"), cli.WithProfiles(os.Args[2:]))
	if err != nil {
		fail(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		fail(err)
	}
	text, err := project.MarshalJSON()
	if err != nil {
		fail(err)
	}
	os.Stdout.Write(append(text, '\n'))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
