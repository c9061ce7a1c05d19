// SPDX-License-Identifier: Apache-2.0

// Package controller is the command woven-controller: flags, configuration and wiring.
package controller

import (
	"context"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/wovensdn/woven/pkg/cli"
	"github.com/wovensdn/woven/pkg/version"
)

// NewCommand returns the command woven-controller.
func NewCommand() *cobra.Command {
	options := defaults()
	command := cli.Defaults(&cobra.Command{
		Use:   "woven-controller",
		Short: "Compile Kubernetes objects into OVN northbound rows",
		Long: `woven-controller compiles Namespaces, Subnets, Vpcs, Nodes, Pods, Services and network policies into rows of the OVN
northbound database. It writes the addresses that it allocates to IP objects and annotations.

Several replicas may run: the one that holds the Lease writes, the others stand by. When the API server, the database or
the Lease is lost the controller keeps running, and continues when they are back.`,
		Example: `  # In a pod, with a clustered northbound database
  woven-controller --ovn-nb-addr=tcp:10.0.0.1:6641,tcp:10.0.0.2:6641,tcp:10.0.0.3:6641

  # Dual stack
  woven-controller --default-cidr=10.16.0.0/16,fd00:10:16::/112 --node-switch-cidr=100.64.0.0/16,fd00:100:64::/112 \
    --service-cluster-ip-range=10.96.0.0/12,fd00:10:96::/112

  # With the validating webhook and a certificate of its own
  woven-controller --webhook-bind-address=:9443 --webhook-self-signed

  # Completion of flags in bash
  source <(woven-controller completion bash)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), options)
		},
	})
	cli.AddSections(command, options.flags())
	return command
}

func run(ctx context.Context, o *options) error {
	if err := o.validate(); err != nil {
		return err
	}
	log, err := o.logger(os.Stderr)
	if err != nil {
		return err
	}
	setLoggers(log)
	log.Info("starting", "version", version.String(), "northbound", o.nbAddr)
	controller, err := assemble(o, log)
	if err != nil {
		return err
	}
	err = controller.Start(logr.NewContext(ctx, log))
	log.Info("stopped")
	return err
}
