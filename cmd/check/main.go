// SPDX-License-Identifier: Apache-2.0

// Command woven-check compares the API server, OVN's databases and the nodes,
// and prints every difference.
package main

import (
	"context"
	"os"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/wovensdn/woven/pkg/cli"
	"github.com/wovensdn/woven/pkg/cli/check"
)

func main() {
	log.SetLogger(logr.Discard()) // the API client complains without one; what matters is in the errors
	command := check.NewCommand()
	os.Exit(check.ExitStatus(command, cli.Execute(context.Background(), command)))
}
