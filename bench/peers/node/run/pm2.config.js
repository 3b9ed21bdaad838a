// "Graceful start" and "graceful stop" of PM2's documentation.
'use strict';

module.exports = {
  apps: [
    {
      name: 'bench',
      script: `${__dirname}/app-for-pm2.js`,
      instances: Number(process.env.WORKERS),
      exec_mode: 'cluster',
      wait_ready: true,
      listen_timeout: 10000,
      kill_timeout: 10000,
    },
  ],
};
