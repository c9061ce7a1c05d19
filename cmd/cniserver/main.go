// SPDX-License-Identifier: Apache-2.0

// Command woven-cniserver runs on every node. It configures ovn0, routes, NAT
// and mirror0, and serves the CNI plugin.
package main

import (
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/wovensdn/woven/pkg/cli"
	"github.com/wovensdn/woven/pkg/cli/cniserver"
)

// A second signal ends the process at once.
func main() { os.Exit(cli.Run(ctrl.SetupSignalHandler(), cniserver.NewCommand())) }
