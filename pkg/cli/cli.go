// SPDX-License-Identifier: Apache-2.0

// Package cli has the common parts of the commands; each command is a package below it. A command's package turns flags
// into a configuration and wires the parts; package main of cmd/<command> runs what NewCommand returns.
package cli

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/wovensdn/woven/pkg/version"
)

// Columns is the width of grouped help texts, in characters.
const Columns = 120

// sectionAnnotation is the annotation of a flag that names its section in the help.
const sectionAnnotation = "woven/section"

// Defaults sets the common properties of a command: the version, and that errors are returned and printed once, by
// [Run]. It returns the command.
func Defaults(command *cobra.Command) *cobra.Command {
	command.Version = version.String()
	command.SilenceErrors, command.SilenceUsage = true, true
	return command
}

// Execute runs a command until it returns or until SIGINT or SIGTERM has ended its context.
func Execute(ctx context.Context, command *cobra.Command) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return command.ExecuteContext(ctx)
}

// Run is [Execute] for commands whose exit status is 0 or 1: it prints an error and returns the status.
func Run(ctx context.Context, command *cobra.Command) int {
	if err := Execute(ctx, command); err != nil {
		PrintError(command, err)
		return 1
	}
	return 0
}

// PrintError writes an error to the command's standard error, after the name of the program.
func PrintError(command *cobra.Command, err error) {
	_, _ = fmt.Fprintf(command.ErrOrStderr(), "%s: %v\n", command.Name(), err)
}

// AddSections adds flags to a command and groups them in its help. Subcommands keep the help of cobra.
func AddSections(command *cobra.Command, sets cliflag.NamedFlagSets) {
	command.Flags().SortFlags = false // the reference shows the sections in their order
	for _, name := range sets.Order {
		sets.FlagSets[name].VisitAll(func(f *pflag.Flag) {
			f.Annotations = map[string][]string{sectionAnnotation: {name}}
		})
		command.Flags().AddFlagSet(sets.FlagSets[name])
	}
	general := sets.FlagSet("general")
	general.BoolP("help", "h", false, "Show this help.")
	general.Bool("version", false, "Show the version.")
	command.Flags().AddFlagSet(general)
	help := command.HelpFunc()
	command.SetHelpFunc(func(c *cobra.Command, args []string) {
		if c != command {
			help(c, args)
			return
		}
		printHelp(c.OutOrStdout(), c, sets)
	})
}

func printHelp(out io.Writer, command *cobra.Command, sets cliflag.NamedFlagSets) {
	_, _ = fmt.Fprintf(out, "%s\n\nUsage:\n  %s\n", command.Long, command.UseLine())
	if command.Example != "" {
		_, _ = fmt.Fprintf(out, "\nExamples:\n%s\n", command.Example)
	}
	cliflag.PrintSections(out, sets, Columns)
}

// Section returns the section that [AddSections] put a flag in; "" if there is none.
func Section(f *pflag.Flag) string {
	if section := f.Annotations[sectionAnnotation]; len(section) > 0 {
		return section[0]
	}
	return ""
}
