// SPDX-License-Identifier: Apache-2.0

// Package sandbox is the command woven-sandbox: flags and subcommands.
package sandbox

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/wovensdn/woven/pkg/cli"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// options are the flags that several commands share.
type options struct {
	name   string
	source string
}

func (o *options) home() (sandbox.Home, error) { return sandbox.DefaultHome() }

func (o *options) progress() *sandbox.Progress { return sandbox.NewProgress(os.Stderr, time.Now) }

// NewCommand returns the command woven-sandbox.
func NewCommand() *cobra.Command {
	o := &options{}
	root := cli.Defaults(&cobra.Command{
		Use:   "woven-sandbox",
		Short: "Run a whole Kubernetes cluster with OVN on one Linux machine",
		Long: `woven-sandbox runs a whole Kubernetes cluster with OVN on one Linux machine, as root and without Docker: the control
plane, OVN's databases, and nodes with containerd, kubelet, Open vSwitch and ovn-controller.`,
		Example: `  woven-sandbox up --nodes 2 --dev     # start a cluster with Woven
  woven-sandbox demo                   # two pods on different nodes reach each other
  woven-sandbox kubectl get pods -A
  woven-sandbox down

  # Completion of commands and flags in bash
  source <(woven-sandbox completion bash)`,
	})
	root.PersistentFlags().StringVar(&o.name, "name", sandbox.DefaultName, "Name of the sandbox; several sandboxes with different names run side by side.")
	root.AddCommand(
		upCommand(o), downCommand(o), statusCommand(o), demoCommand(o), buildCommand(o), depsCommand(),
		kubectlCommand(o), nodeCommand(o), outsideCommand(o), nbctlCommand(o), sbctlCommand(o), vsctlCommand(o),
		pidCommand(o), restartCommand(o), capsuleInitCommand(), capsuleRunCommand(), capsuleEchoCommand(),
	)
	return root
}

func buildCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "build",
		Short:   "Build and cache everything a sandbox needs, without starting one",
		Example: "  woven-sandbox build",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := o.home()
			if err != nil {
				return err
			}
			source := o.source
			if source == "" {
				if source, err = sandbox.FindSource(); err != nil {
					return err
				}
			}
			_, err = sandbox.Build(cmd.Context(), home, source, o.progress())
			return err
		},
	}
	cmd.Flags().StringVar(&o.source, "source", "", "Root of Woven's source tree; empty: searched for above this program and above the working directory.")
	return cmd
}

func depsCommand() *cobra.Command {
	install := false
	cmd := &cobra.Command{
		Use:   "deps",
		Short: "List or install the Debian packages that the sandbox needs on this machine",
		Example: `  woven-sandbox deps             # each package, and whether it is installed
  woven-sandbox deps --install   # install the missing packages`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if install {
				return sandbox.InstallDependencies(cmd.Context(), cmd.ErrOrStderr())
			}
			missing := map[string]bool{}
			for _, dep := range sandbox.Missing() {
				missing[dep.Package] = true
			}
			for _, dep := range sandbox.Dependencies {
				state := "present"
				if missing[dep.Package] {
					state = "missing"
				}
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%-16s %s   %s\n", dep.Package, state, dep.Why)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&install, "install", false, "Install the missing packages with apt-get.")
	return cmd
}
