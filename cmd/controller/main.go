// Command woven-controller compiles Kubernetes objects into OVN northbound rows
// and records the addresses of pods and nodes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "woven-controller:", err)
		stop()
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	options := defaults()
	command := &cobra.Command{
		Use:   "woven-controller",
		Short: "Compile Kubernetes objects into OVN northbound rows",
		Long: "woven-controller compiles Namespaces, Subnets, Vpcs, Nodes and Pods into rows of the OVN northbound\n" +
			"database and writes the addresses that it chooses back as IP objects and annotations.\n\n" +
			"Several may run: the one that holds the Lease writes, the others stand by. It keeps running when the\n" +
			"API server, the database or the Lease is lost, and goes on when they are back.",
		Version: version, Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), options)
		},
	}
	sets := options.flags()
	for _, name := range sets.Order {
		command.Flags().AddFlagSet(sets.FlagSets[name])
	}
	general := sets.FlagSet("general")
	general.BoolP("help", "h", false, "Show this help.")
	general.Bool("version", false, "Show the version.")
	command.Flags().AddFlagSet(general)
	cliflag.SetUsageAndHelpFunc(command, sets, helpColumns)
	return command
}

// helpColumns is the width of the help, in characters.
const helpColumns = 120

func run(ctx context.Context, o *options) error {
	if err := o.validate(); err != nil {
		return err
	}
	log, err := o.logger(os.Stderr)
	if err != nil {
		return err
	}
	setLoggers(log)
	log.Info("starting", "version", version, "northbound", o.nbAddr)
	controller, err := assemble(o, log)
	if err != nil {
		return err
	}
	err = controller.Start(logr.NewContext(ctx, log))
	log.Info("stopped")
	return err
}
