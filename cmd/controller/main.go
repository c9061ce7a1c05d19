// SPDX-License-Identifier: Apache-2.0

// Command woven-controller compiles Kubernetes objects into OVN northbound rows
// and records the addresses of pods and nodes.
package main

import (
	"context"
	"os"

	"github.com/wovensdn/woven/pkg/cli"
	"github.com/wovensdn/woven/pkg/cli/controller"
)

func main() { os.Exit(cli.Run(context.Background(), controller.NewCommand())) }
