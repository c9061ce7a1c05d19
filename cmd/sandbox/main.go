// SPDX-License-Identifier: Apache-2.0

// Command woven-sandbox runs a whole Kubernetes cluster with OVN on one Linux machine.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/wovensdn/woven/pkg/cli"
	command "github.com/wovensdn/woven/pkg/cli/sandbox"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// The first stage of a capsule stays on the process's first thread. It becomes the second stage by exec(2), and if
// another thread did that, the process would for a moment have the state of its dying first thread: to others a zombie
// without namespaces.
func init() {
	if len(os.Args) > 1 && os.Args[1] == sandbox.EnterCommand {
		runtime.LockOSThread()
	}
}

func main() {
	if err := os.Setenv("PATH", sandbox.SearchPath(os.Getenv("PATH"))); err != nil {
		fmt.Fprintln(os.Stderr, "woven-sandbox: set PATH:", err)
		os.Exit(1)
	}
	os.Exit(cli.Run(context.Background(), command.NewCommand()))
}
